// SPDX-License-Identifier: Apache-2.0

/**
 * So many tokens a second, at most `burst` saved up. May go into debt: what has happened is charged in full, and
 * whoever asks waits until the debt is paid.
 */
export class TokenBucket {
  #rate: number
  #burst: number
  #tokens: number
  #at: number
  readonly #now: () => number

  /** `rate` per second; `now` in milliseconds of a monotonic clock. */
  constructor(rate: number, burst: number, now: () => number = () => performance.now()) {
    this.#rate = rate
    this.#burst = burst
    this.#tokens = burst
    this.#now = now
    this.#at = now()
  }

  /** Tokens there are; negative is debt. */
  get tokens(): number {
    const now = this.#now()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#rate)
    this.#at = now
    return this.#tokens
  }

  /** Takes them, whether they are there or not. */
  charge(tokens: number): void {
    this.#tokens = this.tokens - tokens
  }

  /** Milliseconds until there are so many (at most a full burst); 0 when there are. */
  waitMs(tokens: number): number {
    const missing = Math.min(tokens, this.#burst) - this.tokens
    return missing <= 0 ? 0 : (missing / this.#rate) * 1000
  }

  setRate(rate: number, burst: number): void {
    this.charge(0)
    this.#rate = rate
    this.#burst = burst
    this.#tokens = Math.min(this.#tokens, burst)
  }
}
