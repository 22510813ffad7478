// SPDX-License-Identifier: Apache-2.0
import { NO_RATES } from '../detect/sample.js'
import type { Ban } from './ban.js'
import { type BrakeStatus, RELEASED } from './brake.js'
import type { JournalEntry } from './journal.js'

/** Bans as a journal tells of them, oldest first. */
export function replay(entries: readonly JournalEntry[]): Ban[] {
  const bans = new Map<string, Ban>()
  for (const entry of entries) {
    if (entry.type === 'put') {
      bans.set(entry.ban.id, {
        ...entry.ban,
        rates: entry.ban.rates ?? NO_RATES,
        round: entry.ban.round ?? 0,
        attackId: entry.ban.attackId ?? '',
        attackType: entry.ban.attackType ?? '',
      })
      continue
    }
    if (entry.type === 'brake') continue
    const ban = bans.get(entry.id)
    if (!ban) continue
    if (entry.type === 'extend') ban.untilUnixMs = entry.untilUnixMs
    else if (entry.type === 'settled') ban.settled = true
    else if (entry.type === 'hook') ban.hooks.push(entry.run)
    else {
      const { type: _type, id: _id, ...end } = entry
      Object.assign(ban, { state: 'unbanned', ...end })
    }
  }
  // A run that the process did not see the end of.
  for (const ban of bans.values()) ban.hooks = ban.hooks.filter((run) => run.result !== 'running')
  return [...bans.values()]
}

/** The last word of a journal on whether the detector bans. */
export function replayBrake(entries: readonly JournalEntry[]): BrakeStatus {
  const last = entries.findLast((entry) => entry.type === 'brake')
  if (!last) return RELEASED
  const { state, sinceUnixMs, who, reason } = last
  return { state, sinceUnixMs, who, reason }
}
