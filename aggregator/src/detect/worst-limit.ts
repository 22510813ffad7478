// SPDX-License-Identifier: Apache-2.0
import { type Limit, type Limits, rateInForce } from './limits.js'
import type { Direction } from './slots.js'

export interface Worst {
  limit: Limit
  /** The limit in force: per second in the metric's unit, and what the window may hold in the sum's. */
  rate: number
  budget: number
  /** What there is over what there may be; above 1. */
  ratio: number
}

/** The limit that is exceeded most, if any is. */
export function worstLimit(
  policy: Limits,
  direction: Direction,
  stretch: number,
  sum: (slot: number) => number,
): Worst | undefined {
  const { limits, budgets } = policy
  let worst = -1
  let most = 1
  for (let k = 0; k < limits.length; k++) {
    const limit = limits[k] as Limit
    if (limit.direction !== direction) continue
    const ratio = sum(limit.slot) / ((budgets[k] as number) * stretch)
    if (ratio <= most) continue
    most = ratio
    worst = k
  }
  if (worst < 0) return undefined
  return {
    limit: limits[worst] as Limit,
    rate: rateInForce(policy, worst),
    budget: budgets[worst] as number,
    ratio: most,
  }
}
