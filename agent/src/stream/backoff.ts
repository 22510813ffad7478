// SPDX-License-Identifier: Apache-2.0

const FIRST_MS = 200
const MOST_MS = 10_000
const FACTOR = 1.6

/** Waiting times between attempts: growing, and drawn from the upper half so that many agents do not come at once. */
export class Backoff {
  readonly #random: () => number
  #nextMs = FIRST_MS

  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  /** Milliseconds to wait now. */
  next(): number {
    const now = this.#nextMs
    this.#nextMs = Math.min(MOST_MS, now * FACTOR)
    return now * (0.5 + this.#random() / 2)
  }

  /** After a success. */
  reset(): void {
    this.#nextMs = FIRST_MS
  }
}
