// SPDX-License-Identifier: Apache-2.0
//
// What tests and benchmarks use of the agent.

export * from './count/drain.js'
export * from './kernel/flow-maps.js'
export * from './kernel/flow-object.js'
export * from './kernel/layout.js'
export * from './kernel/object.js'
export * from './kernel/requirements.js'
export * from './kernel/test-run.js'
