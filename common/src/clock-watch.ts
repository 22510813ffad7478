// SPDX-License-Identifier: Apache-2.0
import type { Logger } from './log.js'

/** Clocks that are slewed drift by 0.05 % (adjtimex); what differs by so much within a look was set. */
const STEP_MS = 500
const LOOK_EVERY_MS = 1000

export interface ClockWatchOptions {
  log: Logger
  /** Milliseconds by which the wall clock jumped, forward or, negative, back. */
  onStep?: (ms: number) => void
  /** For tests. */
  wall?: () => number
  monotonic?: () => number
}

/**
 * Notices when somebody sets the wall clock: it then moves otherwise than the monotonic one. Also after the machine was
 * suspended, which the monotonic clock does not count.
 */
export class ClockWatch {
  steps = 0
  /** The last one, milliseconds; 0 before the first. */
  lastStepMs = 0
  readonly #options: ClockWatchOptions
  readonly #wall: () => number
  readonly #monotonic: () => number
  #difference: number
  #timer: NodeJS.Timeout | undefined

  constructor(options: ClockWatchOptions) {
    this.#options = options
    this.#wall = options.wall ?? Date.now
    this.#monotonic = options.monotonic ?? (() => performance.now())
    this.#difference = this.#wall() - this.#monotonic()
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  look(): void {
    const difference = this.#wall() - this.#monotonic()
    const step = difference - this.#difference
    // What was slewed adds up to nothing: each look begins anew.
    this.#difference = difference
    if (Math.abs(step) < STEP_MS) return
    this.steps++
    this.lastStepMs = Math.round(step)
    this.#options.log.warn(
      { stepMs: this.lastStepMs },
      'FD_CLOCK_STEP: the wall clock was set; times of records before and after differ by so much',
    )
    this.#options.onStep?.(step)
  }
}
