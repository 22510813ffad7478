// SPDX-License-Identifier: Apache-2.0
import type { Aggregate } from './cells.js'
import type { Counters } from './counters.js'
import type { Limit } from './limits.js'
import type { Policy } from './policies.js'
import type { Direction } from './slots.js'
import type { SlidingWindow } from './window.js'

/** Addresses that a detection of an aggregate names. */
const MOST_HOSTS = 256

/** An aggregate over a budget, and which of its sums that is. */
export interface Look {
  aggregate: Aggregate
  slot: number
  direction: Direction
}

export interface Sharers {
  /** What all of them have together, those that are not listed included. */
  shared: number
  /** Largest first. */
  hosts: { row: number; amount: number }[]
}

/**
 * Who has how much of what aggregates count; goes through all rows, once for all of them: who bombs a /16 brings 256 prefixes
 * of 24 bits over their budgets at a time. An address that is over a threshold of its own is not counted: it is dealt with
 * by itself.
 */
export function findSharers(counters: Counters, looks: readonly Look[], now: number): Sharers[] {
  const stretch = counters.windows.map((each) => each.stretch(now))
  const found = looks.map((look) => new Listing(look, counters))
  const byCell = new Array<Listing[] | undefined>(counters.cells.highWater).fill(undefined)
  for (const listing of found) {
    for (const cell of listing.look.aggregate.cells) {
      const others = byCell[cell]
      if (others) others.push(listing)
      else byCell[cell] = [listing]
    }
  }
  for (let row = 0; row < counters.table.highWater; row++) {
    if (counters.liveEntries(row) === 0) continue
    const listings = byCell[counters.cellOfRow(row)]
    if (!listings) continue
    const policy = counters.policyOfRow(row)
    const { sums } = counters.windows[policy.window] as SlidingWindow
    const base = (counters.windows[policy.window] as SlidingWindow).base(row)
    for (const listing of listings) {
      const amount = listing.amountOf(row)
      if (amount === 0) continue
      const { direction } = listing.look
      if (!isOver(policy, direction, sums, base, stretch[policy.window] as number)) listing.add(row, amount)
    }
  }
  return found.map((listing) => listing.end())
}

class Listing {
  readonly look: Look
  readonly #window: SlidingWindow
  readonly #hosts: Sharers['hosts'] = []
  #shared = 0
  /** What is listed has more than this. */
  #least = 0

  constructor(look: Look, counters: Counters) {
    this.look = look
    this.#window = counters.windows[look.aggregate.policy.window] as SlidingWindow
  }

  amountOf(row: number): number {
    return this.#window.sums[this.#window.base(row) + this.look.slot] as number
  }

  add(row: number, amount: number): void {
    this.#shared += amount
    if (amount <= this.#least) return
    this.#hosts.push({ row, amount })
    if (this.#hosts.length < MOST_HOSTS * 4) return
    this.#cut()
    this.#least = this.#hosts.at(-1)?.amount ?? 0
  }

  end(): Sharers {
    this.#cut()
    return { shared: this.#shared, hosts: this.#hosts }
  }

  #cut(): void {
    this.#hosts.sort((a, b) => b.amount - a.amount)
    this.#hosts.length = Math.min(this.#hosts.length, MOST_HOSTS)
  }
}

/** Whether an address is over a threshold of its own in this direction. */
function isOver(
  { slots, budgets, limits }: Policy,
  direction: Direction,
  sums: Float64Array,
  base: number,
  stretch: number,
): boolean {
  for (let k = 0; k < slots.length; k++) {
    const over = (sums[base + (slots[k] as number)] as number) > (budgets[k] as number) * stretch
    if (over && (limits[k] as Limit).direction === direction) return true
  }
  return false
}
