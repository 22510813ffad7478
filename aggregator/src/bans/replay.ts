// SPDX-License-Identifier: Apache-2.0
import { wholeRates } from '../detect/sample.js'
import { type Ban, NOTHING_DROPPED } from './ban.js'
import { type BrakeStatus, RELEASED } from './brake.js'
import { recordRun } from './hook-history.js'
import type { JournalEntry } from './journal.js'
import { ONE_LEVEL } from './levels.js'

/** Bans as a journal tells of them, oldest first. */
export function replay(entries: readonly JournalEntry[]): Ban[] {
  const bans = new Map<string, Ban>()
  for (const entry of entries) {
    if (entry.type === 'put') {
      bans.set(entry.ban.id, {
        ...entry.ban,
        rates: wholeRates(entry.ban.rates),
        averages: wholeRates(entry.ban.averages),
        detectedUnixMs: entry.ban.detectedUnixMs ?? entry.ban.bannedUnixMs,
        unbannedUnixMs: entry.ban.unbannedUnixMs ?? 0,
        holdOffUntilUnixMs: entry.ban.holdOffUntilUnixMs ?? 0,
        round: entry.ban.round ?? 0,
        attackId: entry.ban.attackId ?? '',
        attackType: entry.ban.attackType ?? '',
        lastSeenUnixMs: entry.ban.lastSeenUnixMs ?? 0,
        dropped: entry.ban.dropped ?? NOTHING_DROPPED,
        steps: entry.ban.steps ?? [stepOfOldBan(entry.ban)],
      })
      continue
    }
    if (entry.type === 'brake') continue
    const ban = bans.get(entry.id)
    if (!ban) continue
    if (entry.type === 'extend') {
      ban.untilUnixMs = entry.untilUnixMs
      ban.lastSeenUnixMs = entry.lastSeenUnixMs ?? ban.lastSeenUnixMs
    }
    if (entry.type === 'settled') ban.settled = true
    else if (entry.type === 'hook') recordRun(ban, entry.run)
    else if (entry.type === 'end') {
      const { type: _type, id: _id, dropped = ban.dropped, ...rest } = entry
      const end = { ...rest, dropped }
      Object.assign(ban, { state: 'unbanned', ...end })
    }
  }
  // A run that the process did not see the end of.
  for (const ban of bans.values()) ban.hooks = ban.hooks.filter((run) => run.result !== 'running')
  return [...bans.values()]
}

/**
 * An end that was decided at another time, perhaps by a clock that was ahead: from now on nothing lasts longer than it was
 * to last then.
 */
export function endFromNow(untilUnixMs: number, decidedUnixMs: number, now: number): number {
  return Math.min(untilUnixMs, now + Math.max(0, untilUnixMs - decidedUnixMs))
}

/** A journal from before there were levels. */
function stepOfOldBan({ bannedUnixMs, who, metric, threshold, value }: Ban): Ban['steps'][number] {
  return { ...ONE_LEVEL, atUnixMs: bannedUnixMs, who, metric, threshold, value, drops: false }
}

/** The last word of a journal on whether the detector bans. */
export function replayBrake(entries: readonly JournalEntry[]): BrakeStatus {
  const last = entries.findLast((entry) => entry.type === 'brake')
  if (!last) return RELEASED
  const { state, sinceUnixMs, who, reason } = last
  return { state, sinceUnixMs, who, reason }
}
