// SPDX-License-Identifier: Apache-2.0

/** Regular progress after which an older smallest delay is forgotten; it is remembered for one to two of these. */
const RENEW_MS = 1000

/** Where a message's packets count. */
export interface Place {
  /** Milliseconds of our clock; `endMs` is never later than the message's arrival. */
  startMs: number
  endMs: number
  /** How much of what it brings counts in windows: less than 1 where there is not as much room as it covers. */
  share: number
}

/**
 * Puts an agent's messages on our monotonic clock. Their `covers_us` are contiguous by construction, so their sum is
 * the agent's own clock without the jitter of scheduling and network: messages that a stall delivers all at once keep
 * the times at which their packets were counted, instead of looking like a flood.
 *
 * What arrives steadily but late (a congested uplink, a virtual machine that stood still) counts as current after a second or
 * two of it; else it would lie behind every window, and the attack that congests the uplink would never be seen. When such
 * a delay then shrinks, more time arrives than has passed; only as much as has passed counts.
 */
export class Timeline {
  #accounted = 0
  #lastNow = 0
  #anchored = false
  /** Smallest (arrival - agent's clock) of the current and of the previous stretch of regular progress. */
  #smallest = 0
  #previous = 0
  #progressMs = 0
  #endMs = Number.NEGATIVE_INFINITY
  #overlapMs = 0
  #last: Place | undefined

  /** Forgets the past: what comes next does not go on where the last message ended. */
  reset(): void {
    this.#anchored = false
    this.#last = undefined
  }

  /** `slackMs`: intervals may overlap by so much in all, for timers and a delay that shrinks a little. */
  place(coversMs: number, now: number, slackMs: number): Place {
    // A further part of the message before covers what that covers. Where nobody knows what that is, it does not count.
    if (coversMs === 0) return this.#last ?? { startMs: now, endMs: now, share: 0 }
    this.#accounted += coversMs
    const delay = now - this.#accounted
    if (!this.#anchored) {
      this.#anchored = true
      this.#smallest = delay
      this.#previous = delay
      this.#progressMs = 0
    }
    this.#smallest = Math.min(this.#smallest, delay)
    // Neither a silence nor a burst is regular: a stall is one after the other.
    this.#progressMs += Math.min(now - this.#lastNow, 2 * coversMs)
    this.#lastNow = now
    const end = Math.min(this.#smallest, this.#previous) + this.#accounted
    if (this.#progressMs >= RENEW_MS) {
      this.#previous = this.#smallest
      this.#smallest = delay
      this.#progressMs = 0
    }
    this.#last = this.#fit(coversMs, Math.max(end, this.#endMs), slackMs)
    return this.#last
  }

  /** Intervals of one agent lie side by side. */
  #fit(coversMs: number, end: number, slackMs: number): Place {
    const overlap = this.#endMs - (end - coversMs)
    this.#endMs = end
    if (overlap <= 0) {
      this.#overlapMs = Math.max(0, this.#overlapMs + overlap)
      return { startMs: end - coversMs, endMs: end, share: 1 }
    }
    const allowed = Math.min(overlap, Math.max(0, slackMs - this.#overlapMs))
    this.#overlapMs += allowed
    const placedMs = Math.max(0, coversMs - (overlap - allowed))
    return { startMs: end - placedMs, endMs: end, share: placedMs / coversMs }
  }
}
