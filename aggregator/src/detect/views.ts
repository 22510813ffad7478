// SPDX-License-Identifier: Apache-2.0
import { formatAddress, parseAddress } from '@flowdam/common'
import { NO_ROW } from './address-table.js'
import type { Learner } from './baseline/learner.js'
import { type LearnedState, learnedState } from './baseline/report.js'
import type { Subject } from './baseline/subject.js'
import type { Counters } from './counters.js'
import type { Scope } from './detection.js'
import { type Limit, type Limits, rateInForce } from './limits.js'
import type { Policy } from './policies.js'
import { type HostRates, NO_RATES, ratesOf } from './sample.js'
import { DIRECTION_SLOTS, type Direction, FLOWS_SLOT } from './slots.js'
import type { SlidingWindow } from './window.js'

export interface ThresholdView {
  limit: Limit
  /** In force, per second in the metric's unit. */
  rate: number
  current: number
  of: string
  /** Where it can be learned: what was, and whether that is in force. */
  learned: LearnedState | undefined
}

export interface HostView {
  address: Uint8Array
  policy: Policy
  rates: HostRates
  /** Nearest to firing first. `of` names what is counted: empty for the address itself. */
  thresholds: ThresholdView[]
}

/** All packets, per second. */
export interface Brief {
  pps: number
  bps: number
  flows: number
}

export interface HostSummary {
  address: string
  hostgroup: string
  incoming: Brief
  outgoing: Brief
}

export interface GroupRates {
  name: string
  rates: HostRates
}

export type TopOrder = 'pps' | 'bps' | 'flows'

/** What people and metrics ask of the counters. Cold; nothing here decides. */
export class Views {
  readonly #counters: () => Counters
  readonly #clock: () => number
  readonly #learner: () => Learner | undefined

  constructor(counters: () => Counters, clock: () => number, learner: () => Learner | undefined) {
    this.#counters = counters
    this.#clock = clock
    this.#learner = learner
  }

  /** One address now, or undefined when it is outside all networks. */
  host(address: string | Uint8Array): HostView | undefined {
    const bytes = typeof address === 'string' ? parseAddress(address) : address
    const counters = this.#counters()
    const learner = this.#learner()
    const base = counters.policies.policyFor(bytes)
    if (!base) return undefined
    counters.advance(this.#clock())
    const words = new Uint32Array(bytes.slice().buffer)
    const row = counters.table.find(words, 0)
    const subject = learner?.subject('host', formatAddress(bytes))
    const policy = learner && subject ? learner.policyOf(subject.index, base) : base
    const window = counters.windows[policy.window] as SlidingWindow
    const at = row === NO_ROW ? 0 : window.base(row)
    const own = (slot: number) => (row === NO_ROW ? 0 : (window.sums[at + slot] as number))
    const thresholds = this.#thresholds(policy, own, '', subject)
    const aggregates = row === NO_ROW ? [] : counters.cells.aggregatesOf(counters.cellOfRow(row))
    for (const { scope, name, policy: shared, cells } of aggregates) {
      const sums = (counters.windows[shared.window] as SlidingWindow).sumCells(cells)
      const group = scope === 'prefix' ? undefined : learner?.subject(scope, name)
      thresholds.push(...this.#thresholds(shared, (slot) => sums[slot] as number, name, group))
    }
    return {
      address: bytes,
      policy,
      rates: row === NO_ROW ? NO_RATES : ratesOf(window.sums, at, policy.windowMs),
      thresholds: thresholds.sort((a, b) => b.current / b.rate - a.current / a.rate),
    }
  }

  /** Those that are in force. */
  #thresholds(
    policy: Limits,
    sum: (slot: number) => number,
    of: string,
    subject: Subject | undefined,
  ): ThresholdView[] {
    return policy.limits.flatMap((limit, k) => {
      const rate = rateInForce(policy, k)
      if (rate === Number.POSITIVE_INFINITY) return []
      const current = (sum(limit.slot) * limit.factor * 1000) / policy.windowMs
      const unixMs = this.#learner()?.unixMs ?? 0
      return { limit, rate, current, of, learned: limit.learn && learnedState(limit.learn, subject, unixMs) }
    })
  }

  /** Every address with traffic, averages over its window. May be read over several turns: each is of its moment. */
  *hosts(): IterableIterator<{ address: Uint8Array; rates: HostRates }> {
    const counters = this.#counters()
    counters.advance(this.#clock())
    for (let row = 0; row < counters.table.highWater; row++) {
      if (counters.liveEntries(row) === 0) continue
      const policy = counters.policyOfRow(row)
      const window = counters.windows[policy.window] as SlidingWindow
      const rates = ratesOf(window.sums, window.base(row), policy.windowMs)
      yield { address: counters.table.address(row), rates }
    }
  }

  /** The busiest addresses, largest first; both directions together unless one is named. */
  top(by: TopOrder, limit: number, direction?: Direction): HostSummary[] {
    const counters = this.#counters()
    counters.advance(this.#clock())
    const slot = by === 'pps' ? 0 : by === 'bps' ? 1 : FLOWS_SLOT
    const best: { row: number; amount: number }[] = []
    let least = 0
    for (let row = 0; row < counters.table.highWater; row++) {
      if (counters.liveEntries(row) === 0) continue
      const policy = counters.policyOfRow(row)
      const window = counters.windows[policy.window] as SlidingWindow
      const { sums } = window
      const base = window.base(row) + slot
      let amount = 0
      if (direction !== 'outgoing') amount += sums[base] as number
      if (direction !== 'incoming') amount += sums[base + DIRECTION_SLOTS] as number
      amount /= policy.windowMs
      if (amount <= least) continue
      best.push({ row, amount })
      if (best.length >= limit * 2 + 64) {
        best.sort((a, b) => b.amount - a.amount)
        best.length = limit
        least = best.at(-1)?.amount ?? 0
      }
    }
    best.sort((a, b) => b.amount - a.amount)
    return best.slice(0, limit).map(({ row }) => {
      const policy = counters.policyOfRow(row)
      const window = counters.windows[policy.window] as SlidingWindow
      const rates = ratesOf(window.sums, window.base(row), policy.windowMs)
      const brief = (side: Direction) => ({ ...rates[side].all, flows: rates[side].flows })
      return {
        address: formatAddress(counters.table.address(row)),
        hostgroup: policy.hostgroup,
        incoming: brief('incoming'),
        outgoing: brief('outgoing'),
      }
    })
  }

  /** Everything on external interfaces, protected or not, over the shortest window. */
  external(): Record<Direction, Brief> {
    const counters = this.#counters()
    const [window] = counters.windows
    counters.advance(this.#clock())
    const rates = (at: number) => {
      const perSecond = 1000 / (window?.windowMs ?? 1000)
      const sum = (index: number) => (window?.external[at + index] ?? 0) * perSecond
      return { pps: sum(0), bps: sum(1) * 8, flows: sum(2) }
    }
    return { incoming: rates(0), outgoing: rates(3) }
  }

  /** Averages over the window of what a detection was about; undefined when it has no counters any more. */
  averages(scope: Scope, target: string): HostRates | undefined {
    const counters = this.#counters()
    if (scope === 'host') return this.#averagesOf(parseAddress(target))
    for (const { scope: kind, name, policy, cells } of counters.cells.aggregates()) {
      if (kind !== scope || name !== target) continue
      counters.advance(this.#clock())
      const window = counters.windows[policy.window] as SlidingWindow
      return ratesOf(window.sumCells(cells), 0, policy.windowMs)
    }
    return undefined
  }

  /** Asked each second for every attack under way. */
  #averagesOf(address: Uint8Array): HostRates | undefined {
    const counters = this.#counters()
    const base = counters.policies.policyFor(address)
    if (!base) return undefined
    counters.advance(this.#clock())
    const row = counters.table.find(new Uint32Array(address.slice().buffer), 0)
    if (row === NO_ROW) return NO_RATES
    // A learned policy differs in its budgets only.
    const window = counters.windows[base.window] as SlidingWindow
    return ratesOf(window.sums, window.base(row), base.windowMs)
  }

  /** All protected addresses together and each hostgroup; for metrics. */
  groups(): GroupRates[] {
    const { windows, cells, policies } = this.#counters()
    const [window] = windows
    if (!window) return []
    this.#counters().advance(this.#clock())
    const rates = (from: Iterable<number>) => ratesOf(window.sumCells(from), 0, window.windowMs)
    const named = policies.groups.map((name, index) => ({ name, rates: rates(cells.cellsOfGroup(index)) }))
    return [...named, { name: 'total', rates: rates(cells.all()) }]
  }
}
