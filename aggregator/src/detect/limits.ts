// SPDX-License-Identifier: Apache-2.0
import { type BaselineSource, type Channels, learnRule } from './baseline/rule.js'
import { DIRECTIONS, type Direction, METRICS, type Metric, type SlotLayout } from './slots.js'

/** Rates per second by metric; null turns an inherited one off. bps are bits. */
export type Thresholds = { readonly [M in Metric]?: number | null | undefined }

export interface DirectionSource {
  incoming?: Thresholds | undefined
  outgoing?: Thresholds | undefined
}

/** What turns what was learned into a threshold. */
export interface LearnRule {
  /** Index into PolicySet.channels. */
  channel: number
  /** The threshold is this many times what is usual, */
  multiple: number
  /** never below this, */
  floor: number
  /** never above this. */
  ceiling: number
  /** Hours that must have been learned first. */
  hours: number
}

export interface Limit {
  direction: Direction
  metric: Metric
  /** Per second, in the metric's unit; Infinity for one that is only learned, until it is. */
  rate: number
  /** Slot in the address's row. */
  slot: number
  /** From the sum's unit to the metric's. */
  factor: number
  /** What the window may hold, in the sum's unit. */
  budget: number
  learn?: LearnRule | undefined
}

/** Limits as configured, and what is in force. */
export interface Limits {
  windowMs: number
  /** Index into PolicySet.windowsMs. */
  window: number
  limits: readonly Limit[]
  /** Budgets in force, by limit; they differ from the limits' own where a learned threshold is in force. */
  budgets: Float64Array
  /** The limits that can be learned, as indices. */
  learns: readonly number[]
}

/** Per second, in the metric's unit. */
export function rateInForce({ limits, budgets, windowMs }: Limits, k: number): number {
  const { rate, budget, factor } = limits[k] as Limit
  const inForce = budgets[k] as number
  return inForce === budget ? rate : (inForce * factor * 1000) / windowMs
}

export function budgetOf(rate: number, factor: number, windowMs: number): number {
  return (rate * windowMs) / 1000 / factor
}

export function compileLimits(
  source: DirectionSource,
  baseline: BaselineSource | null | undefined,
  windowMs: number,
  window: number,
  layout: SlotLayout,
  channels: Channels,
): Limits {
  const limits: Limit[] = []
  for (const direction of DIRECTIONS) {
    for (const metric of METRICS) {
      const configured = source[direction]?.[metric]
      const learn = learnRule(baseline, direction, metric, configured, channels)
      const rate = configured ?? Number.POSITIVE_INFINITY
      if (rate === Number.POSITIVE_INFINITY && !learn) continue
      const { slot, factor } = layout.place(direction, metric)
      limits.push({ direction, metric, rate, slot, factor, budget: budgetOf(rate, factor, windowMs), learn })
    }
  }
  return {
    windowMs,
    window,
    limits,
    budgets: Float64Array.from(limits, (limit) => limit.budget),
    learns: limits.flatMap((limit, k) => (limit.learn ? [k] : [])),
  }
}
