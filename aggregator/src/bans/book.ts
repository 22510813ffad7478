// SPDX-License-Identifier: Apache-2.0

import type { Logger, Prefix } from '@flowdam/common'
import { type ActiveBan, ActiveBans } from './active.js'
import type { Ban, Dropped, HookRun } from './ban.js'
import type { Brake, BrakeStatus } from './brake.js'
import { type BanEvent, BanWatchers } from './events.js'
import { recordRun } from './hook-history.js'
import type { Journal, JournalEntry } from './journal.js'
import { PastBans } from './past.js'
import { endFromNow, replay, replayBrake } from './replay.js'

/** How a ban ended. */
export interface BanEnd {
  endedBy: string
  removedBy: string
  endReason: string
  holdOffUntilUnixMs: number
}

/** All bans, in memory and in the journal: a change is in the journal before anybody hears of it. */
export class BanBook {
  readonly active = new ActiveBans()
  readonly past = new PastBans()
  readonly #journal: Journal
  readonly #brake: Brake
  readonly #clock: () => number
  readonly #watchers: BanWatchers
  /** Extensions worth a line. */
  extended = 0

  constructor(journal: Journal, brake: Brake, clock: () => number, log: Logger) {
    this.#journal = journal
    this.#brake = brake
    this.#clock = clock
    this.#watchers = new BanWatchers(clock, log)
  }

  /** Takes up what the journal says. */
  open(): void {
    const entries = this.#journal.open()
    const bans = replay(entries)
    const now = this.#clock()
    for (const ban of bans) {
      if (ban.state !== 'banned') continue
      ban.untilUnixMs = endFromNow(ban.untilUnixMs, Math.max(ban.bannedUnixMs, ban.lastSeenUnixMs), now)
      this.active.add(ban)
    }
    this.past.restore(bans, now)
    this.#brake.restore(
      replayBrake(entries),
      bans.flatMap(({ steps }) => steps.filter(({ who }) => who === 'detector')).map((step) => step.atUnixMs),
      now,
    )
    this.#journal.compact(this.#everything())
  }

  close(): void {
    this.#journal.close()
  }

  get(id: string): Ban | undefined {
    return this.active.byId(id)?.ban ?? this.past.byId(id)
  }

  /** `act` carries it out; it comes between the journal and those who watch. */
  put(ban: Ban, prefix: Prefix, act: () => void): void {
    this.#journal.append({ type: 'put', ban })
    this.active.add(ban, prefix)
    act()
    this.#watchers.tell('ban', ban)
  }

  /** It came to a further level; `change` says what is different. */
  climb(entry: ActiveBan, change: Partial<Ban>, act: () => void): void {
    const { ban } = entry
    Object.assign(ban, change)
    this.#journal.append({ type: 'put', ban })
    entry.journaledUntil = ban.untilUnixMs
    act()
    this.#watchers.tell('level', ban)
  }

  /** The end moves; by less than `worthMs` it is not worth a line: a crash may cost this much of an extension. */
  extend(entry: ActiveBan, untilUnixMs: number, worthMs: number): void {
    const { ban } = entry
    if (untilUnixMs <= ban.untilUnixMs) return
    ban.untilUnixMs = untilUnixMs
    if (untilUnixMs - entry.journaledUntil < worthMs) return
    entry.journaledUntil = untilUnixMs
    this.extended++
    const { id, lastSeenUnixMs } = ban
    this.#journal.append({ type: 'extend', id, untilUnixMs, lastSeenUnixMs })
    this.#watchers.tell('extend', ban)
  }

  end(ban: Ban, how: BanEnd, act: () => void): void {
    const now = this.#clock()
    Object.assign(ban, { state: 'unbanned', unbannedUnixMs: now, ...how })
    const { id, dropped } = ban
    this.#journal.append({ type: 'end', id, unbannedUnixMs: now, ...how, dropped })
    this.active.delete(ban)
    this.past.add(ban, now)
    act()
    this.#watchers.tell('unban', ban)
  }

  /** An attempt of a hook began or ended. */
  hookRan(id: string, run: HookRun): void {
    const ban = this.get(id)
    if (!ban) return
    recordRun(ban, run)
    if (run.result === 'running') return
    this.#journal.append({ type: 'hook', id, run })
    this.#watchers.tell('hook', ban)
  }

  /** What the agents say that they dropped. They say it again: it is in the journal only when the ban ends. */
  dropped(id: string, dropped: Dropped): void {
    const ban = this.active.byId(id)?.ban
    if (ban) ban.dropped = dropped
  }

  /** Nothing is left to do for this ban. */
  settled(id: string): void {
    const ban = this.get(id)
    if (!ban || ban.settled || ban.state !== 'unbanned') return
    ban.settled = true
    this.#journal.append({ type: 'settled', id })
  }

  setBrake(status: BrakeStatus): void {
    this.#brake.set(status)
    this.#journal.append({ type: 'brake', ...status })
  }

  get wantsCompaction(): boolean {
    return this.#journal.wantsCompaction
  }

  compactIfWanted(): void {
    if (this.wantsCompaction) this.#journal.compact(this.#everything())
  }

  watch(listener: (event: BanEvent) => void): () => void {
    return this.#watchers.add(listener)
  }

  /** The journal's lines that say everything as it is now. */
  *#everything(): IterableIterator<JournalEntry> {
    const { status } = this.#brake
    if (status.sinceUnixMs > 0) yield { type: 'brake', ...status }
    for (const ban of this.past.all()) yield { type: 'put', ban }
    for (const { ban } of this.active.all()) yield { type: 'put', ban }
  }
}
