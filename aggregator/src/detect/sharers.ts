// SPDX-License-Identifier: Apache-2.0
import type { Aggregate } from './cells.js'
import type { Counters } from './counters.js'
import type { Direction } from './slots.js'
import type { SlidingWindow } from './window.js'
import { worstLimit } from './worst-limit.js'

/** Addresses that a detection of an aggregate names. */
const MOST_HOSTS = 256

export interface Sharers {
  /** What all of them have together, those that are not listed included. */
  shared: number
  /** Largest first. */
  hosts: { row: number; amount: number }[]
}

/**
 * Who has how much of what an aggregate counts; goes through all rows. An address that is over a threshold of its own is
 * not counted: it is dealt with by itself.
 */
export function findSharers(
  counters: Counters,
  aggregate: Aggregate,
  slot: number,
  direction: Direction,
  now: number,
): Sharers {
  const window = counters.windows[aggregate.policy.window] as SlidingWindow
  const stretch = counters.windows.map((each) => each.stretch(now))
  const marked = new Uint8Array(counters.cells.highWater)
  for (const cell of aggregate.cells) marked[cell] = 1
  const hosts: { row: number; amount: number }[] = []
  let shared = 0
  for (let row = 0; row < counters.table.highWater; row++) {
    if (counters.liveEntries(row) === 0 || marked[counters.cellOfRow(row)] !== 1) continue
    const amount = window.sums[window.base(row) + slot] as number
    if (amount === 0) continue
    const policy = counters.policyOfRow(row)
    const own = counters.windows[policy.window] as SlidingWindow
    const base = own.base(row)
    const longer = stretch[policy.window] as number
    if (worstLimit(policy, direction, longer, (at) => own.sums[base + at] as number)) continue
    shared += amount
    hosts.push({ row, amount })
    if (hosts.length >= MOST_HOSTS * 4) {
      hosts.sort((a, b) => b.amount - a.amount)
      hosts.length = MOST_HOSTS
    }
  }
  hosts.sort((a, b) => b.amount - a.amount)
  return { shared, hosts: hosts.slice(0, MOST_HOSTS) }
}
