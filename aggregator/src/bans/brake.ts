// SPDX-License-Identifier: Apache-2.0

/** `paused` by a person, `tripped` by the circuit breaker; neither ends by itself. */
export type BrakeState = 'running' | 'paused' | 'tripped'

export interface BrakeStatus {
  state: BrakeState
  /** 0 while nothing was ever stopped. */
  sinceUnixMs: number
  who: string
  reason: string
}

export const RELEASED: BrakeStatus = { state: 'running', sinceUnixMs: 0, who: '', reason: '' }

const MINUTE_MS = 60_000

/**
 * What stops the detector from banning more: a person's pause, the circuit breaker, and the rate limit. People can
 * still ban by hand: they see what they do.
 */
export class Brake {
  #status: BrakeStatus = RELEASED
  /** When the detector's bans of the last minute were made, oldest first. */
  #made: number[] = []

  get status(): BrakeStatus {
    return this.#status
  }

  get engaged(): boolean {
    return this.#status.state !== 'running'
  }

  set(status: BrakeStatus): void {
    this.#status = status
  }

  /** Whether one more ban by the detector would be more than `most` within a minute. */
  tooFast(now: number, most: number): boolean {
    while ((this.#made[0] ?? now) <= now - MINUTE_MS) this.#made.shift()
    return this.#made.length >= most
  }

  /** The detector made a ban; in order of time. */
  made(now: number): void {
    this.#made.push(now)
  }

  /** From the journal, after a restart. */
  restore(status: BrakeStatus, madeUnixMs: readonly number[], now: number): void {
    this.#status = status
    // Of a clock that was ahead and would stop the detector until it comes there again.
    this.#made = madeUnixMs.filter((time) => time <= now).sort((a, b) => a - b)
  }
}
