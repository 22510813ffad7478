// SPDX-License-Identifier: Apache-2.0
//
// The figures of the flows' way: `stream.loopback`, `writer.ratio`, `e2e.flows`.
export { e2eFlows, e2eFlowsAttacked } from './e2e.js'
export { streamLoopback } from './stream.js'
export { writerRatio } from './writer.js'
