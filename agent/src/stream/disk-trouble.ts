// SPDX-License-Identifier: Apache-2.0
import { describeError, type Logger } from '@flowdam/common'

const RETRY_MS = [500, 10_000] as const

/** A disk that refuses: counted, said once, tried again after a while. */
export class DiskTrouble {
  /** Attempts to use the disk that failed. */
  errors = 0
  readonly #log: Logger | undefined
  #lasts = false
  #retryMs: number = RETRY_MS[0]
  /** When the disk is tried again, milliseconds of performance.now(). */
  #nextTry = 0

  constructor(log: Logger | undefined) {
    this.#log = log
  }

  /** The disk refuses. */
  get lasts(): boolean {
    return this.#lasts
  }

  get mayTry(): boolean {
    return performance.now() >= this.#nextTry
  }

  failed(error: unknown): void {
    this.errors++
    if (!this.#lasts) {
      this.#log?.error(
        { reason: describeError(error) },
        'the spool fails; batches stay in memory as far as they fit',
      )
    }
    this.#lasts = true
    this.#nextTry = performance.now() + this.#retryMs
    this.#retryMs = Math.min(RETRY_MS[1], this.#retryMs * 2)
  }

  over(): void {
    if (this.#lasts) this.#log?.info('the spool writes again')
    this.#lasts = false
    this.#retryMs = RETRY_MS[0]
  }
}
