// SPDX-License-Identifier: Apache-2.0
import { budgetOf, type Limit, type Limits } from '../limits.js'

/** Traffic of this share of what lifts a threshold above the floor is worth a profile. */
const MEANINGFUL = 0.1

const known = new WeakMap<readonly Limit[], Float64Array>()

/** Smallest sums that are worth a profile, by limit. */
export function meaningfulSums({ limits, windowMs }: Limits): Float64Array {
  let sums = known.get(limits)
  if (!sums) {
    sums = Float64Array.from(limits, ({ learn, factor }) =>
      learn
        ? budgetOf((learn.floor / learn.multiple) * MEANINGFUL, factor, windowMs)
        : Number.POSITIVE_INFINITY,
    )
    known.set(limits, sums)
  }
  return sums
}
