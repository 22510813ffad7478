// SPDX-License-Identifier: Apache-2.0
import { describeError, type Logger } from '@flowdam/common'
import type { SpoolStatus } from './options.js'

const FULL = 'FD_SPOOL_FULL: store.spool.max is reached'
const DISK_LOW = 'FD_SPOOL_DISK_LOW: less than store.spool.reserve is free on the disk of the spool'
const DROPPING = 'FD_SPOOL_FULL: records are dropped'

/** What keeps the spool from writing, if anything does; logged once when it begins and once when it is over. */
export class SpoolCondition {
  readonly #log: Logger
  #lastError = ''
  /** The last batch that came was dropped. */
  #dropping = false
  readonly #failures: Record<string, number> = {}

  constructor(log: Logger) {
    this.#log = log
  }

  get status(): Pick<SpoolStatus, 'state' | 'lastError' | 'failures'> {
    return {
      state: this.#dropping ? 'failed' : this.#lastError === '' ? 'ok' : 'degraded',
      lastError: this.#lastError || (this.#dropping ? DROPPING : ''),
      failures: { ...this.#failures },
    }
  }

  wrote(): void {
    if (this.#lastError !== '') this.#log.info('spool writes again')
    this.#lastError = ''
  }

  refused(error: unknown): void {
    const text = describeError(error)
    if (this.#lastError === '')
      this.#log.error({ error: text }, 'spool cannot write; agents keep their batches')
    this.#lastError = text
    const code = (error as NodeJS.ErrnoException).code ?? 'other'
    this.#failures[code] = (this.#failures[code] ?? 0) + 1
  }

  /** `diskLow`: of what others put on its disk, rather than of segments. */
  full(diskLow: boolean): void {
    const why = diskLow ? DISK_LOW : FULL
    if (this.#lastError !== why)
      this.#log.warn({ error: why }, 'spool full; agents keep their batches until there is room')
    this.#lastError = why
  }

  /** Of the batch that came last. */
  took(dropped: boolean): void {
    if (dropped && !this.#dropping) this.#log.error(DROPPING)
    if (!dropped && this.#dropping) this.#log.info('spool takes records again')
    this.#dropping = dropped
  }
}
