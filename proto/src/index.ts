// SPDX-License-Identifier: Apache-2.0

export * from './attack-vector.js'
export * from './delta.js'
export * from './gen/flowdam/v1/api.js'
export * from './gen/flowdam/v1/ingest.js'
export * from './record.js'
