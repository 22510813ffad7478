// SPDX-License-Identifier: Apache-2.0
import { MAX_BATCH_RECORDS, RECORD_SIZE } from '@flowdam/proto'
import type { BatchSink } from '../contracts.js'

/** A window of this size covers a quarter of a second of syncing at a million records/s. */
const LARGEST = 16 << 20
/** One full batch. */
const SMALLEST = MAX_BATCH_RECORDS * RECORD_SIZE

/**
 * What each of `streams` may have unacknowledged, bytes: together at most half of what the sink's queue holds, as long
 * as a batch fits. Powers of two, so that it changes seldom.
 */
export function windowBytes(queueBytes: number, streams: number): number {
  const share = queueBytes / 2 / Math.max(1, streams)
  return Math.min(LARGEST, Math.max(SMALLEST, 2 ** Math.floor(Math.log2(share))))
}

/**
 * What a stream does with batches that the sink has no room for, because its agent does not keep to its window or there
 * are too many: leaves them out, reads on, so that host deltas arrive, and has the stream end when there is room. The
 * agent then sends again what was not acknowledged. Nothing is lost that an agent still holds.
 */
export class Gate {
  readonly #sink: BatchSink
  readonly #reopen: () => void
  #shut = false

  constructor(sink: BatchSink, reopen: () => void) {
    this.#sink = sink
    this.#reopen = reopen
  }

  /** Once false, false for the rest of the stream: batches take effect in order. */
  admits(bytes: number): boolean {
    if (this.#shut) return false
    if (this.#sink.hasRoom(bytes)) return true
    this.#shut = true
    void this.#sink.room().then(this.#reopen)
    return false
  }
}
