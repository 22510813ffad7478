// SPDX-License-Identifier: Apache-2.0
import type { Detection } from './detection.js'
import { type HostRates, largerRates, NO_RATES, ratesOf } from './sample.js'
import type { Slice } from './slice.js'
import type { SlotLayout } from './slots.js'
import { mixOf, sumEntries, type Which } from './traffic.js'
import type { SlidingWindow } from './window.js'
import type { Worst } from './worst-limit.js'

export type Measured = Pick<Detection, 'direction' | 'value' | 'rates' | 'averages' | 'mix'>

/** What the target does now: the newest interval, of all agents together, beside the window. */
export function measure(
  window: SlidingWindow,
  layout: SlotLayout,
  which: Which,
  averages: HostRates,
  { limit, rate, ratio }: Worst,
): Measured {
  const slices = [...window.slices()].filter(({ coversMs }) => coversMs > 0)
  const newest = slices.reduce<Slice | undefined>((a, b) => (a && a.endMs > b.endMs ? a : b), undefined)
  const middle = newest ? (newest.startMs + newest.endMs) / 2 : 0
  const recent = slices.filter((slice) => slice.endMs > middle)
  const longest = Math.max(0, ...recent.map((slice) => slice.coversMs))
  const sums = sumEntries(recent, which, layout)
  const latest = longest > 0 ? ratesOf(sums, 0, longest) : NO_RATES
  const now = longest > 0 ? ((sums[limit.slot] as number) * limit.factor * 1000) / longest : 0
  return {
    direction: limit.direction,
    value: Math.max(rate * ratio, now),
    rates: largerRates(averages, latest),
    averages,
    mix: mixOf(recent, which, limit.direction),
  }
}
