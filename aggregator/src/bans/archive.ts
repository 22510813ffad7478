// SPDX-License-Identifier: Apache-2.0
import { describeError, type Logger } from '@flowdam/common'
import { banRates } from './ban.js'
import type { BanEvent, Bans } from './bans.js'

/** Where rows of the `bans` table go; the store. */
export type RecordBan = (row: object) => Promise<void>

/** Changes that wait while the store does not answer. The journal has them all; the table is for reports. */
const MOST_WAITING = 1000
const RETRY_MS = 5000

/** Copies each change of a ban into the store's `bans` table, whenever the store is there. */
export class BanArchive {
  readonly #bans: Bans
  readonly #record: RecordBan
  readonly #log: Logger
  /** Newest row by ban id. */
  readonly #waiting = new Map<string, object>()
  #unwatch: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #busy: Promise<void> | undefined
  #failing = false

  constructor(bans: Bans, record: RecordBan, log: Logger) {
    this.#bans = bans
    this.#record = record
    this.#log = log
  }

  start(): void {
    this.#unwatch = this.#bans.watch((event) => this.#enqueue(event))
  }

  /** Writes what waits if the store answers. */
  async stop(): Promise<void> {
    this.#unwatch?.()
    clearTimeout(this.#timer)
    await this.#busy
    if (!this.#failing) await this.#drain()
    clearTimeout(this.#timer)
  }

  #enqueue({ event, ban, atUnixMs }: BanEvent): void {
    if (event === 'hook' || event === 'state') return
    this.#waiting.set(ban.id, {
      id: ban.id,
      updated: time(atUnixMs),
      prefix: ban.prefix,
      direction: ban.direction,
      state: ban.state,
      metric: ban.metric,
      threshold: ban.threshold,
      value: ban.value,
      ...banRates(ban),
      hostgroup: ban.hostgroup,
      detected: time(ban.detectedUnixMs),
      banned: time(ban.bannedUnixMs),
      until: time(ban.untilUnixMs),
      unbanned: time(ban.unbannedUnixMs),
      who: ban.who,
      reason: ban.reason,
      dry_run: ban.dryRun,
    })
    if (this.#waiting.size > MOST_WAITING) {
      const oldest = this.#waiting.keys().next().value
      if (oldest !== undefined) this.#waiting.delete(oldest)
    }
    this.#pump()
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
          this.#log.warn({ err: describeError(error) }, 'bans are not written to the store for now')
        this.#failing = true
        clearTimeout(this.#timer)
        this.#timer = setTimeout(() => this.#pump(), RETRY_MS)
        this.#timer.unref()
        return
      }
    }
  }
}

/** The text that JSONEachRow takes for a DateTime64 in UTC; it refuses a number with a fraction. */
function time(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 23).replace('T', ' ')
}
