// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander'
import { usageError } from '../command-error.js'
import { parseMoment } from '../input/time.js'
import { inSession, type Session, type World } from '../session.js'

/** A query over a day of flows is not an API call like the others. */
const ANSWER_WITHIN_MS = 60_000

/** What `flows` and `talkers` do in a session with the time that a query needs. */
export function inFlowQuery(
  world: World,
  command: Command,
  run: (session: Session) => Promise<void>,
): Promise<void> {
  return inSession(world, command, run, ANSWER_WITHIN_MS)
}

/** --since and --until as the API has them; throws FD_USAGE. */
export function parsePeriod(
  { since, until }: { since: string; until: string },
  nowMs: number,
): { sinceUnixMs: number; untilUnixMs: number } {
  const sinceUnixMs = parseMoment(since, nowMs)
  const untilUnixMs = parseMoment(until, nowMs)
  if (sinceUnixMs >= untilUnixMs) throw usageError('--since must be before --until')
  return {
    sinceUnixMs: Math.floor(sinceUnixMs),
    // 0 is the API's "now", and leaves out nothing that arrives while the query runs.
    untilUnixMs: until === 'now' ? 0 : Math.floor(untilUnixMs),
  }
}
