// SPDX-License-Identifier: Apache-2.0

export interface ApiLimits {
  /** Calls that a caller may begin, per second, on average. */
  callsPerSecond: number
  /** At once, after a pause. */
  burst: number
  /** Calls and watches that a caller may have open. */
  open: number
}

interface Account {
  tokens: number
  /** performance.now() of `tokens`. */
  atMs: number
  open: number
}

/** Callers remembered; beyond it those that have nothing open and were longest idle are forgotten. */
const MOST_ACCOUNTS = 10_000

/** A token bucket and a number of open calls for each caller. */
export class CallLimits {
  #limits: ApiLimits
  readonly #accounts = new Map<string, Account>()
  readonly #clock: () => number

  constructor(limits: ApiLimits, clock: () => number = () => performance.now()) {
    this.#limits = limits
    this.#clock = clock
  }

  reconfigure(limits: ApiLimits): void {
    this.#limits = limits
  }

  /** Milliseconds to wait before the next call is allowed; 0 when this one is, and it is charged. */
  begin(key: string): number {
    const { callsPerSecond, burst } = this.#limits
    const now = this.#clock()
    const account = this.#account(key, now)
    account.tokens = Math.min(burst, account.tokens + ((now - account.atMs) / 1000) * callsPerSecond)
    account.atMs = now
    if (account.tokens < 1) return Math.ceil(((1 - account.tokens) / callsPerSecond) * 1000)
    account.tokens--
    return 0
  }

  /** Whether one more may be open; the answer yes must be followed by a close(). */
  open(key: string): boolean {
    const account = this.#account(key, this.#clock())
    if (account.open >= this.#limits.open) return false
    account.open++
    return true
  }

  close(key: string): void {
    const account = this.#accounts.get(key)
    if (account) account.open--
  }

  #account(key: string, now: number): Account {
    const known = this.#accounts.get(key)
    // At the end of the map's order: the first is the one longest idle.
    if (known) {
      this.#accounts.delete(key)
      this.#accounts.set(key, known)
      return known
    }
    if (this.#accounts.size >= MOST_ACCOUNTS) this.#forget()
    const account = { tokens: this.#limits.burst, atMs: now, open: 0 }
    this.#accounts.set(key, account)
    return account
  }

  #forget(): void {
    for (const [key, { open }] of this.#accounts) {
      if (open > 0) continue
      this.#accounts.delete(key)
      if (this.#accounts.size < MOST_ACCOUNTS * 0.9) return
    }
  }
}
