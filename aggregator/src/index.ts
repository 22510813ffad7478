// SPDX-License-Identifier: Apache-2.0
//
// For the lab, the bench and the tests: the aggregator inside another process.
export { Aggregator } from './app.js'
export { loadAggregatorConfig, parseAggregatorConfig, policiesOf } from './config/load.js'
export type { AggregatorConfig } from './config/schema.js'
export * from './contracts.js'
export type { Detection } from './detect/detection.js'
export { Detector } from './detect/detector.js'
export { DropCounter } from './drops.js'
