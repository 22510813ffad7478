// SPDX-License-Identifier: Apache-2.0
import { budgetOf, type LearnRule, type Limit, type Limits } from '../limits.js'
import type { Profiles } from './profiles.js'
import { decodeRate, UNKNOWN } from './rate-code.js'

/** What is usual, multiplied, between floor and ceiling. */
export function thresholdOf({ multiple, floor, ceiling }: LearnRule, usual: number): number {
  return Math.min(ceiling, Math.max(floor, multiple * usual))
}

/** The threshold learned for an hour; undefined until enough was learned. */
export function learnedThreshold(
  rule: LearnRule,
  profiles: Profiles,
  index: number,
  hour: number,
): number | undefined {
  if (profiles.learnedOf(index, rule.channel) < rule.hours) return undefined
  const code = profiles.usual(index, rule.channel, hour)
  return code === UNKNOWN ? undefined : thresholdOf(rule, decodeRate(code))
}

/** Puts in force what was learned for this hour, and what is configured where not enough was. */
export function setBudgets(own: Limits, profiles: Profiles, index: number, hour: number): void {
  for (const k of own.learns) {
    const { learn, budget, factor } = own.limits[k] as Limit
    const rate = learn && learnedThreshold(learn, profiles, index, hour)
    own.budgets[k] = rate === undefined ? budget : budgetOf(rate, factor, own.windowMs)
  }
}

/** How much was learned, of the metric of which least was. */
export function neededHours(
  { limits, learns }: Limits,
  profiles: Profiles,
  index: number,
): { learned: number; needed: number; left: number } {
  let worst = { learned: 0, needed: 0, left: 0 }
  for (const [nth, k] of learns.entries()) {
    const rule = (limits[k] as Limit).learn as LearnRule
    const learned = profiles.learnedOf(index, rule.channel)
    const left = Math.max(0, rule.hours - learned)
    if (nth === 0 || left > worst.left) worst = { learned, needed: rule.hours, left }
  }
  return worst
}
