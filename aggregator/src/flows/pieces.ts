// SPDX-License-Identifier: Apache-2.0
import type { Summed } from '../store/rollup/rollups.js'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

export type Resolution = 'hours' | 'minutes' | 'flows'

/** A stretch of time and the table that answers for it. Milliseconds since 1970; `toMs` excluded. */
export interface Piece {
  from: Resolution
  fromMs: number
  toMs: number
}

export interface Kept {
  /** Flows before this may be gone. */
  flowsMs: number
  /** Minutes before this may be gone. */
  minutesMs: number
}

/** The time asked for, widened to whole minutes or hours at an end where nothing finer is kept. */
export function answerable(fromMs: number, toMs: number, kept: Kept): [number, number] {
  const unit = (ms: number) => (ms < kept.minutesMs ? HOUR_MS : ms < kept.flowsMs ? MINUTE_MS : 1)
  const [first, last] = [unit(fromMs), unit(toMs)]
  return [Math.floor(fromMs / first) * first, Math.ceil(toMs / last) * last]
}

/** The time cut into as few pieces as sums allow: whole hours, else whole minutes, else flows. Together they are all of it. */
export function piecesOf(fromMs: number, toMs: number, summed: Summed): Piece[] {
  const pieces: Piece[] = []
  const add = (from: Resolution, endMs: number) => {
    const last = pieces.at(-1)
    const fromHere = last?.toMs ?? fromMs
    if (last?.from === from) last.toMs = endMs
    else pieces.push({ from, fromMs: fromHere, toMs: endMs })
  }
  for (let at = fromMs; at < toMs; ) {
    const hour = Math.floor(at / HOUR_MS)
    if (at % HOUR_MS === 0 && at + HOUR_MS <= toMs && summed.hour(hour)) {
      at += HOUR_MS
      add('hours', at)
      continue
    }
    const minute = Math.floor(at / MINUTE_MS)
    const end = Math.min((minute + 1) * MINUTE_MS, toMs)
    const whole = at % MINUTE_MS === 0 && end - at === MINUTE_MS
    at = end
    add(whole && summed.minute(minute) ? 'minutes' : 'flows', at)
  }
  return pieces
}
