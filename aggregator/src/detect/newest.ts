// SPDX-License-Identifier: Apache-2.0
import type { Counters } from './counters.js'
import type { Detection } from './detection.js'
import { type HostRates, largerRates, NO_RATES, ratesOf } from './sample.js'
import type { Slice } from './slice.js'
import { EntryIndex, mixOf, ofCells, ofRow, sumEntries, type Which } from './traffic.js'
import type { SlidingWindow } from './window.js'
import type { Worst } from './worst-limit.js'

export type Measured = Pick<Detection, 'direction' | 'value' | 'rates' | 'averages' | 'mix'>

/** What is measured covers at least this, where intervals are shorter: 10 ms say more about timers than about traffic. */
const LEAST_MS = 50
/** From so many targets on it is better to go through the messages once for all of them. */
const MANY = 8

/**
 * What the targets that fire at a moment do now: the newest interval, of all agents together, beside the window. Messages are
 * looked through once, however many targets there are: hundreds of prefixes and thousands of addresses may fire together.
 */
export class Newest {
  readonly #counters: Counters
  readonly #recent = new Map<SlidingWindow, AgentRecent[]>()
  readonly #rows: EntryIndex | undefined
  readonly #cells: EntryIndex | undefined

  /** `rows` and `cells`: what will be asked for. */
  constructor(counters: Counters, rows: readonly number[], cells: readonly ReadonlySet<number>[]) {
    this.#counters = counters
    if (rows.length >= MANY) this.#rows = new EntryIndex('rows', rows)
    if (cells.length >= MANY)
      this.#cells = new EntryIndex(
        'cells',
        cells.flatMap((each) => [...each]),
      )
  }

  ofRow(row: number): Which {
    return this.#rows?.of([row]) ?? ofRow(row)
  }

  ofCells(cells: ReadonlySet<number>): Which {
    return this.#cells?.of(cells) ?? ofCells(cells, this.#counters.cells.highWater)
  }

  measure(window: SlidingWindow, which: Which, averages: HostRates, { limit, rate, ratio }: Worst): Measured {
    const { layout } = this.#counters.policies
    const recent = this.#recentOf(window)
    // Each agent's own rate; they see different packets, so the rates add up.
    const perSecond = new Float64Array(layout.slots)
    for (const { slices, coversMs } of recent) {
      const sums = sumEntries(slices, which, layout)
      for (let slot = 0; slot < sums.length; slot++) {
        perSecond[slot] = (perSecond[slot] as number) + ((sums[slot] as number) * 1000) / coversMs
      }
    }
    const latest = recent.length > 0 ? ratesOf(perSecond, 0, 1000) : NO_RATES
    const now = (perSecond[limit.slot] as number) * limit.factor
    return {
      direction: limit.direction,
      value: Math.max(rate * ratio, now),
      rates: largerRates(averages, latest),
      averages,
      mix: mixOf(
        recent.flatMap(({ slices }) => slices),
        which,
        limit.direction,
      ),
    }
  }

  #recentOf(window: SlidingWindow): AgentRecent[] {
    let recent = this.#recent.get(window)
    if (!recent) {
      recent = recentByAgent(window.slices())
      this.#recent.set(window, recent)
    }
    return recent
  }
}

interface AgentRecent {
  slices: Slice[]
  /** What their messages cover together, by the agent's own clock. */
  coversMs: number
}

/** The newest messages of each agent that has said something just now. */
function recentByAgent(held: Iterable<Slice>): AgentRecent[] {
  const agents = new Map<string, Slice[]>()
  for (const slice of held) {
    if (slice.coversMs === 0) continue
    const slices = agents.get(slice.agentId)
    if (slices) slices.push(slice)
    else agents.set(slice.agentId, [slice])
  }
  const newest = Math.max(...[...agents.values()].map(latestEnd))
  return [...agents.values()].flatMap((slices) => {
    const end = latestEnd(slices)
    const covers = Math.max(...slices.filter(({ endMs }) => endMs === end).map(({ coversMs }) => coversMs))
    if (end <= newest - Math.max(LEAST_MS, covers)) return []
    const recent = slices.filter(({ endMs }) => endMs > end - Math.max(LEAST_MS, covers / 2))
    // Parts of one message have one place.
    const places = new Map(recent.map((slice) => [`${slice.startMs} ${slice.endMs}`, slice.coversMs]))
    return [{ slices: recent, coversMs: [...places.values()].reduce((sum, ms) => sum + ms, 0) }]
  })
}

function latestEnd(slices: readonly Slice[]): number {
  return Math.max(...slices.map(({ endMs }) => endMs))
}
