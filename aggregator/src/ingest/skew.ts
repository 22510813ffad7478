// SPDX-License-Identifier: Apache-2.0

const PERIOD_MS = 30_000

/**
 * An agent's clock minus ours. A message's delay makes the difference smaller, never larger, so the largest of the
 * last 30-60 s is the nearest to the truth; until one of the two clocks is set, then the past says nothing.
 */
export class ClockSkew {
  readonly #monotonic: () => number
  #current = Number.NEGATIVE_INFINITY
  #before = Number.NEGATIVE_INFINITY
  #since = 0

  constructor(monotonic: () => number = () => performance.now()) {
    this.#monotonic = monotonic
  }

  observe(agentUnixMs: number, oursUnixMs: number): void {
    if (agentUnixMs <= 0) return
    const now = this.#monotonic()
    if (now - this.#since > PERIOD_MS) {
      this.#before = this.#current
      this.#current = Number.NEGATIVE_INFINITY
      this.#since = now
    }
    this.#current = Math.max(this.#current, agentUnixMs - oursUnixMs)
  }

  /** One of the clocks was set. */
  reset(): void {
    this.#current = Number.NEGATIVE_INFINITY
    this.#before = Number.NEGATIVE_INFINITY
  }

  /** Milliseconds; 0 before the first observation. */
  get ms(): number {
    const best = Math.max(this.#current, this.#before)
    return Number.isFinite(best) ? best : 0
  }
}
