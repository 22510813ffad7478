// SPDX-License-Identifier: Apache-2.0
import type { Limit } from './policies.js'
import type { Direction } from './slots.js'

export interface Worst {
  limit: Limit
  /** What there is over what there may be; above 1. */
  ratio: number
}

/** The limit that is exceeded most, if any is. */
export function worstLimit(
  limits: readonly Limit[],
  direction: Direction,
  stretch: number,
  sum: (slot: number) => number,
): Worst | undefined {
  let worst: Worst | undefined
  for (const limit of limits) {
    if (limit.direction !== direction) continue
    const ratio = sum(limit.slot) / (limit.budget * stretch)
    if (ratio > (worst?.ratio ?? 1)) worst = { limit, ratio }
  }
  return worst
}
