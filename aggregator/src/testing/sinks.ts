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

/** What stands behind a tap: notes the seqs of batches in `passed`; up to `durable` they were there before. */
export function notingSink(passed: number[], durable = 0): BatchSink {
  const append = async (_origin: unknown, { seq }: { seq: number }) => {
    passed.push(seq)
    return 'stored' as const
  }
  return { ...ANY_BATCH, append, lastSeq: () => durable, queueBytes: 1 }
}

export const NO_DETECTOR: DeltaSink = { onHostDeltas: () => undefined, onAgentState: () => undefined }
