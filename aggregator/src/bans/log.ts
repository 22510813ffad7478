// SPDX-License-Identifier: Apache-2.0
import { formatDuration, type Logger } from '@flowdam/common'
import type { Detection } from '../detect/detection.js'
import type { Ban } from './ban.js'
import { levelOf, ONE_LEVEL } from './levels.js'

/** The same for the same prefix is logged this often. */
const REPEAT_MS = 60_000
const MOST_PREFIXES = 10_000

/** Says what was detected and not banned; a detection comes twice a second, the line once a minute. */
export class DetectionLog {
  readonly #log: Logger
  readonly #saidAt = new Map<string, number>()

  constructor(log: Logger) {
    this.#log = log
  }

  warn(prefix: string, message: string, detection: Detection, now: number): void {
    if (now - (this.#saidAt.get(prefix) ?? 0) < REPEAT_MS) return
    if (this.#saidAt.size > MOST_PREFIXES) this.#saidAt.clear()
    this.#saidAt.set(prefix, now)
    const { metric, value, threshold, direction } = detection
    this.#log.warn({ prefix, direction, metric, value: Math.round(value), threshold }, message)
  }
}

export function logBan(log: Logger, ban: Ban): void {
  const { id, prefix, direction, metric, value, threshold, who, dryRun } = ban
  const { name, action } = levelOf(ban)
  const lasts = formatDuration(ban.untilUnixMs - ban.bannedUnixMs)
  log.warn(
    {
      ban: id,
      prefix,
      direction,
      metric,
      value: Math.round(value),
      threshold,
      who,
      dryRun,
      for: lasts,
      ...(name && { level: name, action }),
    },
    dryRun ? 'banned (dry run: no hook)' : 'banned',
  )
}

export function logClimb(log: Logger, { id, prefix, metric, value, threshold, dryRun, ...ban }: Ban): void {
  const from = ban.steps.at(-2)?.name
  const { name: level, action } = ban.steps.at(-1) ?? ONE_LEVEL
  const about = { ban: id, prefix, metric, value: Math.round(value), threshold, dryRun }
  log.warn({ ...about, from, level, action }, 'ban came to a further level')
}

export function logUnban(log: Logger, { id, prefix, endedBy, endReason, ...ban }: Ban): void {
  const after = formatDuration(ban.unbannedUnixMs - ban.bannedUnixMs)
  log.warn({ ban: id, prefix, endedBy, reason: endReason, after }, 'unbanned')
}
