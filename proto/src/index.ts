// SPDX-License-Identifier: Apache-2.0

export * from './attack-vector.js'
export * from './delta.js'
export * from './fastnetmon-api.js'
export { FILE_DESCRIPTORS } from './gen/descriptors.js'
export * from './gen/flowdam/v1/api.js'
export * from './gen/flowdam/v1/ingest.js'
export { BadRequest, ErrorInfo, RetryInfo } from './gen/google/rpc/error_details.js'
export { Status as RpcStatus } from './gen/google/rpc/status.js'
export * from './record.js'
export * from './refused-message.js'
export * from './stream-rules.js'
export * from './stream-version.js'
