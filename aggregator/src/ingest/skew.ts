// SPDX-License-Identifier: Apache-2.0

const PERIOD_MS = 30_000

/**
 * An agent's clock minus ours. A message's delay makes the difference smaller, never larger, so the largest of the
 * last 30-60 s is the nearest to the truth.
 */
export class ClockSkew {
  #current = Number.NEGATIVE_INFINITY
  #before = Number.NEGATIVE_INFINITY
  #since = 0

  observe(agentUnixMs: number, oursUnixMs: number): void {
    if (agentUnixMs <= 0) return
    if (oursUnixMs - this.#since > PERIOD_MS) {
      this.#before = this.#current
      this.#current = Number.NEGATIVE_INFINITY
      this.#since = oursUnixMs
    }
    this.#current = Math.max(this.#current, agentUnixMs - oursUnixMs)
  }

  /** Milliseconds; 0 before the first observation. */
  get ms(): number {
    const best = Math.max(this.#current, this.#before)
    return Number.isFinite(best) ? best : 0
  }
}
