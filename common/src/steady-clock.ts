// SPDX-License-Identifier: Apache-2.0

/** Of the time that passes; a ban of half an hour is wrong by three minutes at worst. */
const SLEW = 0.1

/**
 * Milliseconds since 1970 for what lasts: runs with the monotonic clock and follows the wall clock slowly, so that a
 * clock that is set does not end every ban at once, or prolong them by as much. Never goes back.
 */
export class SteadyClock {
  readonly #wall: () => number
  readonly #monotonic: () => number
  #lastMonotonic: number
  #now: number

  constructor(wall: () => number = Date.now, monotonic: () => number = () => performance.now()) {
    this.#wall = wall
    this.#monotonic = monotonic
    this.#lastMonotonic = monotonic()
    this.#now = wall()
  }

  readonly now = (): number => {
    const monotonic = this.#monotonic()
    const passed = Math.max(0, monotonic - this.#lastMonotonic)
    this.#lastMonotonic = monotonic
    const off = this.#wall() - (this.#now + passed)
    const most = passed * SLEW
    this.#now += passed + Math.min(most, Math.max(-most, off))
    return Math.round(this.#now)
  }
}
