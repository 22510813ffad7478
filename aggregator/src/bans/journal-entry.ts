// SPDX-License-Identifier: Apache-2.0
//
// What a line of the journal must have so that a start can take it up. A disk that changed a byte must cost one line, not
// the aggregator. Only what others rely on is looked at: JSON has no infinity, and whoever wrote a line may be older.
import { parsePrefix } from '@flowdam/common'
import { z } from 'zod'
import type { JournalEntry } from './journal.js'
import { LEVEL_ACTIONS } from './levels.js'

const id = z.string().min(1)
/** What a Date can be; a digit that became an e makes more of it. */
const zTime = z.number().min(0).max(8.64e15)
const zRun = z.looseObject({
  hook: z.string(),
  action: z.string(),
  result: z.string(),
  startedUnixMs: zTime,
  output: z.string(),
})
const zStep = z.looseObject({
  name: z.string(),
  action: z.enum(LEVEL_ACTIONS),
  hooks: z.union([z.literal('all'), z.array(z.string())]),
})
const zDropped = z.looseObject({ packets: z.number(), bytes: z.number() })

const zBan = z.looseObject({
  id,
  prefix: z.string().refine(isPrefix),
  direction: z.enum(['incoming', 'outgoing']),
  state: z.enum(['banned', 'unbanned']),
  metric: z.string(),
  who: z.string(),
  bannedUnixMs: zTime,
  untilUnixMs: zTime,
  detectedUnixMs: zTime.optional(),
  lastSeenUnixMs: zTime.optional(),
  unbannedUnixMs: zTime.optional(),
  holdOffUntilUnixMs: zTime.optional(),
  dryRun: z.boolean(),
  hooks: z.array(zRun),
  steps: z.array(zStep).min(1).optional(),
  dropped: zDropped.optional(),
})

const zEntry = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('put'), ban: zBan }),
  z.looseObject({ type: z.literal('extend'), id, untilUnixMs: zTime }),
  z.looseObject({ type: z.literal('end'), id, unbannedUnixMs: zTime, dropped: zDropped.optional() }),
  z.looseObject({ type: z.literal('hook'), id, run: zRun }),
  z.looseObject({ type: z.literal('settled'), id }),
  z.looseObject({
    type: z.literal('brake'),
    state: z.enum(['running', 'paused', 'tripped']),
    sinceUnixMs: zTime,
    who: z.string(),
    reason: z.string(),
  }),
])

/** Throws for what is none. */
export function parseEntry(line: string): JournalEntry {
  const value: unknown = JSON.parse(line)
  zEntry.parse(value)
  return value as JournalEntry
}

/** In the one spelling that bans are known by. */
function isPrefix(text: string): boolean {
  try {
    return parsePrefix(text).text === text
  } catch {
    return false
  }
}
