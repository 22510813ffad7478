// SPDX-License-Identifier: Apache-2.0
import type { FailureKind } from './engine.js'

/** First and longest pause before the next attempt, by kind; bad data has none. */
export const PAUSE_MS: Readonly<
  Record<Exclude<FailureKind, 'bad_data'>, readonly [first: number, longest: number]>
> = {
  retry: [100, 10_000],
  crowded: [1000, 30_000],
  schema: [5000, 60_000],
}

/** Doubles with each failure in a row; half of it is chance, so that loaders and aggregators part. */
export function pauseMs(kind: keyof typeof PAUSE_MS, failures: number, chance = Math.random()): number {
  const [first, longest] = PAUSE_MS[kind]
  const full = Math.min(longest, first * 2 ** Math.min(failures, 16))
  return full / 2 + (chance * full) / 2
}

/** Resolves early when `signal` is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    // The global one, whose time tests can set.
    const timer = setTimeout(end, signal.aborted ? 0 : ms)
    signal.addEventListener('abort', end)
  })
}

/** What became of an insert, as far as restraint is concerned. */
export type Outcome = 'accepted' | 'crowded' | 'failed'

/**
 * For all loaders together: a server that asked for fewer inserts ("too many parts") gets none for a while, whoever was
 * refused, and then one at a time until it has taken one. Meanwhile segments grow, so that there are fewer of them.
 */
export class Restraint {
  readonly #clock: () => number
  #refusals = 0
  #untilMs = 0
  #probe: Promise<void> | undefined

  /** Milliseconds, monotonic: a wall clock that is set back must not make inserts wait as long. */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock
  }

  /** Before an insert; call what it resolves with when the insert is over. */
  async enter(signal: AbortSignal): Promise<(outcome: Outcome) => void> {
    while (this.#refusals > 0 && !signal.aborted) {
      const rest = this.#untilMs - this.#clock()
      if (this.#probe) await this.#probe
      else if (rest > 0) await pause(rest, signal)
      else return this.#beginProbe()
    }
    return (outcome) => {
      if (outcome === 'crowded') this.#refused()
    }
  }

  #beginProbe(): (outcome: Outcome) => void {
    let end = () => {}
    this.#probe = new Promise((resolve) => {
      end = resolve
    })
    return (outcome) => {
      this.#probe = undefined
      if (outcome === 'crowded') this.#refused()
      // Others that were accepted now had begun before the refusal, and prove nothing.
      if (outcome === 'accepted') this.#refusals = 0
      end()
    }
  }

  #refused(): void {
    // Inserts that were under way at the same time are refused once.
    if (this.#untilMs > this.#clock()) return
    this.#untilMs = this.#clock() + pauseMs('crowded', this.#refusals)
    this.#refusals++
  }
}
