// SPDX-License-Identifier: Apache-2.0
import type { Logger, Prefix } from '@flowdam/common'
import type { BanActions } from './actions.js'
import type { ActiveBan } from './active.js'
import { type Ban, NOTHING_DROPPED, newBanId } from './ban.js'
import type { BanBook, BanEnd } from './book.js'
import type { BanCause } from './cause.js'
import { hooksOfLevels, hooksTold, type Level, type LevelStep, levelOf } from './levels.js'
import { logBan, logClimb, logUnban } from './log.js'
import type { BanRules } from './rules.js'

/** A level for a ban to go to, and those below it that it has not been at. */
export interface Ascent {
  levels: readonly Level[]
  who: string
}

export interface ForceOptions {
  book: BanBook
  actions: BanActions
  log: Logger
  clock: () => number
  rules: () => BanRules
}

/** Puts decisions into force: book first, then hooks, then the log. */
export class Force {
  readonly #options: ForceOptions
  made = 0
  /** Arrivals at a level, by its name. */
  readonly steps = new Map<string, number>()

  constructor(options: ForceOptions) {
    this.#options = options
  }

  /** `decidedAt` is performance.now() of the decision; without `durationMs` the level's. */
  make(prefix: Prefix, cause: BanCause, ascent: Ascent, decidedAt: number, durationMs?: number): Ban {
    const { book, actions, log, clock, rules } = this.#options
    const now = clock()
    const step = this.#step(cause, ascent, now)
    const ban: Ban = {
      id: newBanId(now),
      prefix: prefix.text,
      state: 'banned',
      ...cause,
      detectedUnixMs: now,
      bannedUnixMs: now,
      untilUnixMs: now + (durationMs ?? this.#durationOf(step, cause.round)),
      lastSeenUnixMs: cause.metric === 'manual' ? 0 : now,
      unbannedUnixMs: 0,
      endedBy: '',
      endReason: '',
      holdOffUntilUnixMs: 0,
      dryRun: rules().dryRun,
      steps: [step],
      dropped: NOTHING_DROPPED,
      settled: false,
      hooks: [],
    }
    this.made++
    book.put(ban, prefix, () => {
      if (!ban.dryRun) actions.run('ban', ban, decidedAt, step.hooks)
      logBan(log, ban)
    })
    return ban
  }

  climb(entry: ActiveBan, cause: BanCause, ascent: Ascent, decidedAt: number): void {
    const { book, actions, log, clock } = this.#options
    const now = clock()
    const { ban } = entry
    const step = this.#step(cause, ascent, now)
    const { metric, threshold, value, rates, averages, reason, attackId, attackType } = cause
    const change = {
      ...{ metric, threshold, value, rates, averages, reason, attackId, attackType },
      lastSeenUnixMs: now,
      untilUnixMs: Math.max(ban.untilUnixMs, now + this.#durationOf(step, ban.round)),
      steps: [...ban.steps, step],
    }
    book.climb(entry, change, () => {
      if (!ban.dryRun) actions.run('ban', ban, decidedAt, step.hooks)
      logClimb(log, ban)
    })
  }

  /** The attack was seen. */
  extend(entry: ActiveBan): void {
    const { book, clock } = this.#options
    entry.ban.lastSeenUnixMs = clock()
    const duration = this.#durationOf(levelOf(entry.ban), entry.ban.round)
    // Ten detections a second need not be ten lines a second.
    book.extend(entry, clock() + duration, Math.max(500, duration / 20))
  }

  /**
   * Nobody would have seen the attack: no reason to think that it is over. A ban without a blackhole then lasts as long
   * as one with it would.
   */
  extendBlindly(entry: ActiveBan): boolean {
    const { book, clock, rules } = this.#options
    const { ban } = entry
    const level = levelOf(ban)
    const until = Math.min(clock() + level.quietMs, ban.lastSeenUnixMs + rules().durationMs)
    if (level.action === 'blackhole' || ban.lastSeenUnixMs === 0 || until <= clock()) return false
    book.extend(entry, until, 500)
    return true
  }

  end(ban: Ban, how: BanEnd): Ban {
    const { book, actions, log } = this.#options
    book.end(ban, how, () => {
      // Carried out even when bans are in dry run now: what was announced must be withdrawn.
      if (!ban.dryRun) actions.run('unban', ban, performance.now(), hooksTold(ban))
      logUnban(log, ban)
    })
    return ban
  }

  #step(cause: BanCause, { levels, who }: Ascent, now: number): LevelStep {
    const top = levels.at(-1)
    if (!top) throw new Error('an ascent has at least one level')
    this.steps.set(top.name, (this.steps.get(top.name) ?? 0) + 1)
    const { metric, threshold, value } = cause
    const drops = levels.some(({ action }) => action === 'drop')
    const hooks = hooksOfLevels(levels)
    return { ...top, hooks, drops, atUnixMs: now, who, metric, threshold, value }
  }

  #durationOf({ action, quietMs }: Level, round: number): number {
    if (action !== 'blackhole') return quietMs
    const { durationMs, maxDurationMs } = this.#options.rules()
    return Math.max(durationMs, Math.min(maxDurationMs, durationMs * 2 ** Math.min(round, 30)))
  }
}
