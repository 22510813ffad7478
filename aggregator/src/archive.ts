// SPDX-License-Identifier: Apache-2.0
import { describeError, type Logger } from '@flowdam/common'

/** Rows that wait while the store does not answer; the oldest go. The table is for reports. */
const MOST_WAITING = 1000
const RETRY_MS = 5000

/** Brings rows into a table of the store whenever it is there; of an id the newest counts. Nobody waits for it. */
export class RowArchive {
  readonly #record: (row: object) => Promise<void>
  readonly #what: string
  readonly #log: Logger
  /** Newest row by id. */
  readonly #waiting = new Map<string, object>()
  #timer: NodeJS.Timeout | undefined
  #busy: Promise<void> | undefined
  #failing = false

  /** `what` is for messages: the table's name. */
  constructor(what: string, record: (row: object) => Promise<void>, log: Logger) {
    this.#what = what
    this.#record = record
    this.#log = log
  }

  put(id: string, row: object): void {
    this.#waiting.set(id, row)
    if (this.#waiting.size > MOST_WAITING) {
      const oldest = this.#waiting.keys().next().value
      if (oldest !== undefined) this.#waiting.delete(oldest)
    }
    this.#pump()
  }

  /** Writes what waits if the store answers. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#busy
    if (!this.#failing) await this.#drain()
    clearTimeout(this.#timer)
  }

  #pump(): void {
    if (this.#busy) return
    this.#busy = this.#drain().finally(() => {
      this.#busy = undefined
    })
  }

  async #drain(): Promise<void> {
    for (const [id, row] of this.#waiting) {
      try {
        await this.#record(row)
        this.#failing = false
        if (this.#waiting.get(id) === row) this.#waiting.delete(id)
      } catch (error) {
        if (!this.#failing)
          this.#log.warn({ err: describeError(error) }, `${this.#what} are not written to the store for now`)
        this.#failing = true
        clearTimeout(this.#timer)
        this.#timer = setTimeout(() => this.#pump(), RETRY_MS)
        this.#timer.unref()
        return
      }
    }
  }
}
