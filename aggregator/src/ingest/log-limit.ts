// SPDX-License-Identifier: Apache-2.0

const BURST = 50
const PER_SECOND = 5

/**
 * What clients can cause must not fill the log: after a burst a few lines a second, and each says how many were left
 * out. What they are about has a counter.
 */
export class LogLimit {
  readonly #clock: () => number
  #tokens = BURST
  #at = Number.NEGATIVE_INFINITY
  #leftOut = 0

  /** Milliseconds, monotonic. */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock
  }

  /** Writes the line if there is room for one. */
  line(write: (leftOut: { leftOut?: number }) => void): void {
    const now = this.#clock()
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#at) / 1000) * PER_SECOND)
    this.#at = now
    if (this.#tokens < 1) {
      this.#leftOut++
      return
    }
    this.#tokens--
    const leftOut = this.#leftOut
    this.#leftOut = 0
    write(leftOut > 0 ? { leftOut } : {})
  }
}
