// SPDX-License-Identifier: Apache-2.0
import { ENTRY_WORDS } from './slice.js'

/** Smaller ones are left to the garbage collector. */
const LEAST_ENTRIES = 512
/** Most that wait to be used again. */
const MOST_FREE = 32

export interface SliceArrays {
  words: Uint32Array
  rows: Int32Array
  cells: Int32Array
}

/**
 * Arrays of slices that no window holds any more, for the next ones. A tenth of a million addresses in a message are 5.6 MB:
 * taken anew each time, a sixth of the detector's time went into pages that the kernel clears and into garbage collection.
 */
export class SlicePool {
  readonly #leastBytes: number
  readonly #free: ArrayBuffer[] = []

  constructor(leastEntries = LEAST_ENTRIES) {
    this.#leastBytes = bytesFor(leastEntries)
  }

  /** For so many entries, or some more; what they hold is of another time. */
  take(entries: number): SliceArrays {
    const fits = this.#free.findIndex(
      ({ byteLength }) => byteLength >= bytesFor(entries) && byteLength <= 4 * bytesFor(entries),
    )
    const [buffer = new ArrayBuffer(bytesFor(entries))] = fits < 0 ? [] : this.#free.splice(fits, 1)
    const words = entries * ENTRY_WORDS
    return {
      words: new Uint32Array(buffer, 0, words),
      rows: new Int32Array(buffer, words * 4, entries),
      cells: new Int32Array(buffer, (words + entries) * 4, entries),
    }
  }

  /** Nobody may look at them any more. */
  giveBack({ words }: SliceArrays): void {
    const buffer = words.buffer as ArrayBuffer
    if (buffer.byteLength < this.#leastBytes) return
    this.#free.push(buffer)
    // The oldest first: what comes now is more like what came last.
    if (this.#free.length > MOST_FREE) this.#free.shift()
  }
}

function bytesFor(entries: number): number {
  return entries * (ENTRY_WORDS + 2) * 4
}
