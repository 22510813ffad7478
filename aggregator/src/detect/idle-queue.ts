// SPDX-License-Identifier: Apache-2.0

/** Rows without traffic in any window, in the order in which they fell idle. Each row is in it at most once. */
export class IdleQueue {
  readonly #rows: Int32Array
  readonly #since: Float64Array
  readonly #queued: Uint8Array
  #head = 0
  #count = 0

  constructor(capacity: number) {
    this.#rows = new Int32Array(capacity)
    this.#since = new Float64Array(capacity)
    this.#queued = new Uint8Array(capacity)
  }

  push(row: number, now: number): void {
    if (this.#queued[row]) return
    this.#queued[row] = 1
    const at = (this.#head + this.#count++) % this.#rows.length
    this.#rows[at] = row
    this.#since[at] = now
  }

  /** The longest idle row if it has been so since `before`, else -1. The caller checks that it is still idle. */
  shift(before: number): number {
    if (this.#count === 0 || (this.#since[this.#head] as number) > before) return -1
    const row = this.#rows[this.#head] as number
    this.#head = (this.#head + 1) % this.#rows.length
    this.#count--
    this.#queued[row] = 0
    return row
  }
}
