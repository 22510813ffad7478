// SPDX-License-Identifier: Apache-2.0
import { UNKNOWN } from './rate-code.js'

export const HOUR_MS = 3_600_000
export const HOURS_PER_WEEK = 168

/** Hours since 1970. */
export function hourOf(unixMs: number): number {
  return Math.floor(unixMs / HOUR_MS)
}

/** 0 is Monday from 00:00 to 01:00 UTC; 1970 began on a Thursday. */
export function hourOfWeek(hour: number): number {
  return (((hour + 72) % HOURS_PER_WEEK) + HOURS_PER_WEEK) % HOURS_PER_WEEK
}

const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']

/** `Tuesday 14:00 UTC`. */
export function nameOfHour(slot: number): string {
  return `${DAYS[Math.floor(slot / 24)]} ${String(slot % 24).padStart(2, '0')}:00 UTC`
}

/**
 * What is usual in an hour of the week: the most of it and the hours beside it, because jobs start some minutes early
 * and clocks change twice a year. An hour that was never learned borrows from the same hours of other days, and where
 * there are none from the whole week. `codes` holds a week from `at` on.
 */
export function usualAt(codes: Uint16Array, at: number, slot: number): number {
  const near = most(codes, at, [slot - 1, slot, slot + 1])
  if (near !== UNKNOWN) return near
  const daily: number[] = []
  for (let day = 0; day < 7; day++) for (const by of [-1, 0, 1]) daily.push(day * 24 + (slot % 24) + by)
  const sameHours = most(codes, at, daily)
  if (sameHours !== UNKNOWN) return sameHours
  return most(
    codes,
    at,
    Array.from({ length: HOURS_PER_WEEK }, (_, index) => index),
  )
}

function most(codes: Uint16Array, at: number, slots: readonly number[]): number {
  let found = -1
  for (const slot of slots) {
    const code = codes[at + ((slot + HOURS_PER_WEEK) % HOURS_PER_WEEK)] as number
    if (code !== UNKNOWN && code > found) found = code
  }
  return found < 0 ? UNKNOWN : found
}
