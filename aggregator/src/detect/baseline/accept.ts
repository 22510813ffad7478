// SPDX-License-Identifier: Apache-2.0
import type { LearnRule, Limit } from '../limits.js'
import { decodeRate, encodeRate, UNKNOWN } from './rate-code.js'
import type { Subject } from './subject.js'
import { hourOfWeek } from './week.js'

/** Less is no growth. */
const WORTH = 1.01

/**
 * A person says that what a target gets is no attack: its whole week is raised, by as much as it is above what is usual at
 * this hour, or so many `times`. Nothing is ever lowered. Returns the most that anything was raised; 1: nothing was.
 */
export function acceptNow(
  { limits, profiles, index }: Subject,
  rateNow: (limit: Limit) => number,
  times: number | undefined,
  hour: number,
): number {
  let most = 1
  for (const k of limits.learns) {
    const limit = limits.limits[k] as Limit
    const { channel } = limit.learn as LearnRule
    const usual = profiles.usual(index, channel, hour)
    if (usual === UNKNOWN) continue
    // The minute under way: what comes in bursts is seldom there at the moment of asking.
    const rate = Math.max(rateNow(limit), profiles.peakOf(index, channel))
    const raised = times ?? rate / Math.max(1, decodeRate(usual))
    if (raised < WORTH) continue
    // A week in which this hour was quiet is no measure for the others.
    if (usual > 0) profiles.raise(index, channel, raised)
    else profiles.hours[profiles.weekOf(index, channel) + hourOfWeek(hour)] = encodeRate(rate)
    most = Math.max(most, raised)
  }
  if (most > 1) profiles.learnAgain(index)
  return most
}
