// SPDX-License-Identifier: Apache-2.0
import type { BatchSink, DeltaSink } from '../contracts.js'

/** Acknowledges every batch at once, and keeps none. */
export const ANY_BATCH: BatchSink = {
  append: async () => 'stored',
  lastSeq: () => 0,
  queueBytes: 256e6,
  hasRoom: () => true,
  room: async () => undefined,
}

export const NO_DETECTOR: DeltaSink = { onHostDeltas: () => undefined, onAgentState: () => undefined }
