// SPDX-License-Identifier: Apache-2.0

/**
 * How much later than its smallest delay a line may run, per millisecond that passes: 1 %. Enough to follow two
 * clocks that drift apart (0.02 % at worst) and to recover from time that an agent never accounted for.
 */
const CREEP = 0.01

/**
 * Puts an agent's messages on our monotonic clock. Their `covers_us` are contiguous by construction, so their sum is
 * the agent's own clock without the jitter of scheduling and network: messages that a stall delivers all at once keep
 * the times at which their packets were counted, instead of looking like a flood.
 */
export class Timeline {
  #accounted = 0
  #offset = 0
  #lastNow = 0
  #anchored = false

  /** Forgets the past: the agent started anew or came back. */
  reset(): void {
    this.#anchored = false
  }

  /** End of the interval that the message covers; milliseconds of our clock, never later than `now`. */
  place(coversMs: number, now: number): number {
    this.#accounted += coversMs
    const candidate = now - this.#accounted
    if (!this.#anchored) {
      this.#anchored = true
      this.#offset = candidate
    } else {
      this.#offset = Math.min(candidate, this.#offset + (now - this.#lastNow) * CREEP)
    }
    this.#lastNow = now
    return this.#offset + this.#accounted
  }
}
