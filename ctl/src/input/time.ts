// SPDX-License-Identifier: Apache-2.0
import { parseDuration } from '@flowdam/common'
import { usageError } from '../command-error.js'

/** A moment: `5m` (that long ago), `now`, `14:30[:05]` (the last one), or a date with time, `2026-11-22T14:30`. */
export function parseMoment(text: string, nowMs: number): number {
  if (text === 'now') return nowMs
  const clock = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text)
  if (clock) return lastClock(text, Number(clock[1]), Number(clock[2]), Number(clock[3] ?? 0), nowMs)
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) {
    const parsed = Date.parse(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00` : text.replace(' ', 'T'))
    if (!Number.isNaN(parsed)) return parsed
  }
  try {
    return nowMs - parseDuration(text)
  } catch {
    throw usageError(
      `'${text}' is no moment; write how long ago (30s, 5m, 2h, 1d), a clock (14:30) or a date (2026-11-22T14:30)`,
    )
  }
}

function lastClock(text: string, hours: number, minutes: number, seconds: number, nowMs: number): number {
  if (hours > 23 || minutes > 59 || seconds > 59) throw usageError(`'${text}' is no clock`)
  const moment = new Date(nowMs)
  moment.setHours(hours, minutes, seconds, 0)
  if (moment.getTime() > nowMs) moment.setDate(moment.getDate() - 1)
  return moment.getTime()
}
