// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import { RowArchive } from '../archive.js'
import { banRates } from './ban.js'
import type { Bans } from './bans.js'
import type { BanEvent } from './events.js'

/** Where rows of the `bans` table go; the store. */
export type RecordBan = (row: object) => Promise<void>

/** Copies each change of a ban into the store's `bans` table. The journal has them all; the table is for reports. */
export class BanArchive {
  readonly #bans: Bans
  readonly #rows: RowArchive
  #unwatch: (() => void) | undefined

  constructor(bans: Bans, record: RecordBan, log: Logger) {
    this.#bans = bans
    this.#rows = new RowArchive('bans', record, log)
  }

  start(): void {
    this.#unwatch = this.#bans.watch((event) => this.#enqueue(event))
  }

  async stop(): Promise<void> {
    this.#unwatch?.()
    await this.#rows.stop()
  }

  #enqueue({ event, ban, atUnixMs }: BanEvent): void {
    if (event === 'hook' || event === 'state') return
    this.#rows.put(ban.id, {
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
  }
}

/** The text that JSONEachRow takes for a DateTime64 in UTC; it refuses a number with a fraction. */
function time(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 23).replace('T', ' ')
}
