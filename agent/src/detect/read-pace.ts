// SPDX-License-Identifier: Apache-2.0

/** While something rises: what is over its threshold is then found this late at most, beside the read itself. */
const FAST_MS = 10
/** But never more of a core than a quarter: with full logs a read costs 4 ms, and 131 072 new flows far more. */
const COST_FACTOR = 4
/** For so long after a rise; by then it is either an attack that was noticed, or ordinary. */
const FAST_FOR_MS = 1000
/** A rise is this much more than the average, and at least so many packets per second more. */
const RISE_FACTOR = 1.5
const RISE_PPS = 1000
/**
 * The entry that gets most is this much above what is usual for itself: an attack that goes from one victim to the next does not
 * rise above the average of the largest. More than RISE_FACTOR, for a single one comes in bursts.
 */
const OWN_RISE_FACTOR = 4
/** Half of what the average remembers is younger than 0.7 of this. */
const AVERAGE_MS = 2000

/** What a read found. */
export interface ReadSums {
  /** Packets of everybody, and of the entry that got most of them: one victim is hidden in the traffic of all. */
  packets: number
  largest: number
  /** Packets per second that are usual for this entry. */
  largestUsualPps: number
}

/**
 * When to read next. What a read finds late is found late by everybody after it: when traffic rises, reads come up to
 * ten times as often for a second, as far as their cost allows. Ordinary traffic does not pay for that.
 */
export class ReadPace {
  readonly #total = new Average()
  readonly #largest = new Average()
  #fastUntil = 0

  /** Notes a read that began at `now` (milliseconds, monotonic) and took `costMs`; returns from its beginning to the next. */
  next(sums: ReadSums, now: number, costMs: number, usualMs: number): number {
    const total = this.#total.rises(sums.packets, now)
    const largest = this.#largest.rises(sums.largest, now)
    const own = this.#largest.pps > sums.largestUsualPps * OWN_RISE_FACTOR + RISE_PPS
    if (total || largest || own) this.#fastUntil = now + FAST_FOR_MS
    const fastMs = Math.max(FAST_MS, costMs * COST_FACTOR)
    return now < this.#fastUntil ? Math.min(fastMs, usualMs) : usualMs
  }
}

class Average {
  /** As it was at the last read. */
  pps = 0
  #average = 0
  #at = -1

  rises(packets: number, now: number): boolean {
    const elapsed = now - this.#at
    if (this.#at < 0 || elapsed <= 0) {
      this.#at = now
      return false
    }
    this.#at = now
    this.pps = (packets / elapsed) * 1000
    const rises = this.pps > this.#average * RISE_FACTOR + RISE_PPS
    this.#average += (this.pps - this.#average) * Math.min(1, elapsed / AVERAGE_MS)
    return rises
  }
}
