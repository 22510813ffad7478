// SPDX-License-Identifier: Apache-2.0
import { formatAddress, formatPrefix, type Prefix, parseAddress } from '@flowdam/common'
import type { HostDeltas } from '@flowdam/proto'
import type { AgentEvent, AgentInfo, DeltaSink } from '../contracts.js'
import { NO_ROW } from './address-table.js'
import type { Aggregate } from './cells.js'
import { type CounterLosses, Counters, type CountersOptions } from './counters.js'
import type { Limit, Policy, PolicySet } from './policies.js'
import { type HostRates, largerRates, NO_RATES, ratesOf } from './sample.js'
import { Slice } from './slice.js'
import { DIRECTION_SLOTS, DIRECTIONS, type Direction, FLOWS_SLOT, type Metric } from './slots.js'
import { Timeline } from './timeline.js'
import { mixOf, ofCells, ofRow, sumEntries, type TrafficMix, type Which } from './traffic.js'
import type { SlidingWindow } from './window.js'

/** One address, or many together: what a threshold is about. */
export type Scope = 'host' | Aggregate['scope']

/** An address's part of what an aggregate counts. */
export interface HostShare {
  address: Uint8Array
  text: string
  /** Of the metric that fired, averaged over the window, in the metric's unit. */
  rate: number
}

/** A threshold was exceeded. */
export interface Detection {
  scope: Scope
  /** For people: the address, the prefix, the hostgroup's name, or "total". */
  target: string
  /** The address (/32, /128) or prefix; undefined for a hostgroup and the total. */
  prefix: Prefix | undefined
  direction: Direction
  hostgroup: string
  metric: Metric
  /** Per second, in the metric's unit. */
  threshold: number
  /** What the metric is now, as in `rates`; always above the threshold. */
  value: number
  /** What the target does now: the larger of the last interval and the window, so that a young flood shows its size. */
  rates: HostRates
  /** Averages over the window. */
  averages: HostRates
  /** What the last interval is made of, in the detection's direction. */
  mix: TrafficMix
  /** For many addresses: those with most of the metric, largest first, without any that is over a threshold of its own. */
  hosts: readonly HostShare[]
  /** How much of the metric such addresses have together, averaged over the window. */
  shared: number
  /** performance.now() when the message that made it fire came in. */
  receivedAt: number
}

export interface HostView {
  address: Uint8Array
  policy: Policy
  rates: HostRates
  /** Nearest to firing first. `of` names what is counted: empty for the address itself. */
  thresholds: { limit: Limit; current: number; of: string }[]
}

export interface HostSummary {
  address: string
  hostgroup: string
  incoming: { pps: number; bps: number; flows: number }
  outgoing: { pps: number; bps: number; flows: number }
}

export type TopOrder = 'pps' | 'bps' | 'flows'

export interface DetectorOptions {
  policies: PolicySet
  counters?: CountersOptions
  onDetection: (detection: Detection) => void
  /** Milliseconds, monotonic. */
  clock?: () => number
  /** Least time between two detections of the same address and direction. */
  repeatMs?: number
}

/** The last second or so of traffic is "now" for status and top. */
const ADVANCE_MS = 250
/** Beyond this many cells, aggregates are compared only every EVALUATE_MS. */
const MANY_CELLS = 4096
const EVALUATE_MS = 50
/** Least time between two looks at an aggregate's addresses, which goes through all rows. */
const LOOK_MS = 200
/** Addresses that a detection of an aggregate names. */
const MOST_HOSTS = 256

/** Takes host deltas, keeps exact window sums, and says when a threshold is exceeded. */
export class Detector implements DeltaSink {
  readonly #options: DetectorOptions
  readonly #clock: () => number
  readonly #repeatMs: number
  readonly #timelines = new Map<string, { timeline: Timeline; lastSeq: number }>()
  #counters: Counters
  #pastLosses: CounterLosses = { notProtected: 0, tableFull: 0, cutShort: 0, prefixesFull: 0 }
  #evaluatedAt = 0
  #timer: NodeJS.Timeout | undefined
  messages = 0
  entries = 0
  detections = 0
  /** Milliseconds spent on messages, for metrics. */
  busyMs = 0

  constructor(options: DetectorOptions) {
    this.#options = options
    this.#clock = options.clock ?? (() => performance.now())
    this.#repeatMs = options.repeatMs ?? 500
    this.#counters = new Counters(options.policies, options.counters)
  }

  start(): void {
    this.#timer = setInterval(() => this.#counters.advance(this.#clock()), ADVANCE_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  get trackedAddresses(): number {
    return this.#counters.table.size
  }

  get heldEntries(): number {
    return this.#counters.heldEntries
  }

  get policies(): PolicySet {
    return this.#counters.policies
  }

  get losses(): CounterLosses {
    const { notProtected, tableFull, cutShort, prefixesFull } = this.#counters.losses
    return {
      prefixesFull: this.#pastLosses.prefixesFull + prefixesFull,
      notProtected: this.#pastLosses.notProtected + notProtected,
      tableFull: this.#pastLosses.tableFull + tableFull,
      cutShort: this.#pastLosses.cutShort + cutShort,
    }
  }

  /** Other networks or thresholds from now on. What the windows hold is counted again under the new rules. */
  reconfigure(policies: PolicySet): void {
    const held = new Set<Slice>()
    for (const window of this.#counters.windows) for (const slice of window.slices()) held.add(slice)
    this.#pastLosses = this.losses
    this.#counters = new Counters(policies, this.#options.counters)
    const now = this.#clock()
    for (const slice of [...held].sort((a, b) => a.endMs - b.endMs)) {
      slice.holders = 0
      this.#counters.add(slice, now)
    }
    // Seen before; not lost a second time.
    Object.assign(this.#counters.losses, { notProtected: 0, tableFull: 0, cutShort: 0, prefixesFull: 0 })
  }

  onAgentState(agent: AgentInfo, event: AgentEvent): void {
    if (event === 'connected') this.#timelines.get(agent.id)?.timeline.reset()
  }

  onHostDeltas(agentId: string, deltas: HostDeltas, _receivedAtMs: number): void {
    const now = this.#clock()
    let agent = this.#timelines.get(agentId)
    if (!agent) {
      agent = { timeline: new Timeline(), lastSeq: 0 }
      this.#timelines.set(agentId, agent)
    }
    // The agent's process started anew.
    if (deltas.seq <= agent.lastSeq) agent.timeline.reset()
    agent.lastSeq = deltas.seq
    const coversMs = deltas.coversUs / 1000
    const end = agent.timeline.place(coversMs, now)
    const slice = new Slice(end - coversMs, end, deltas.entries, deltas.incoming, deltas.outgoing)
    this.#counters.add(slice, now)
    this.messages++
    this.entries += slice.count
    this.#evaluate(now)
    this.busyMs += this.#clock() - now
  }

  #evaluate(now: number): void {
    const counters = this.#counters
    if (counters.overCount === 0 && !counters.policies.hasAggregates) return
    const stretch = counters.windows.map((window) => window.stretch(now))
    for (let i = 0; i < counters.overCount; i++) {
      const row = counters.over[i] as number
      const policy = counters.policyOfRow(row)
      this.#fire(row, policy, stretch[policy.window] as number, now)
    }
    if (!counters.policies.hasAggregates) return
    if (counters.cells.highWater > MANY_CELLS && now - this.#evaluatedAt < EVALUATE_MS) return
    this.#evaluatedAt = now
    for (const aggregate of counters.cells.aggregates()) {
      this.#compare(aggregate, stretch[aggregate.policy.window] as number, now)
    }
  }

  /** Something about this row is over its budget: say what, once for each direction. */
  #fire(row: number, policy: Policy, stretch: number, now: number): void {
    const window = this.#counters.windows[policy.window] as SlidingWindow
    const base = window.base(row)
    const { lastFired } = this.#counters
    for (const [index, direction] of DIRECTIONS.entries()) {
      const last = lastFired[row * 2 + index] as number
      if (last !== 0 && now - last < this.#repeatMs) continue
      const worst = worstLimit(
        policy.limits,
        direction,
        stretch,
        (slot) => window.sums[base + slot] as number,
      )
      if (!worst) continue
      lastFired[row * 2 + index] = now
      const address = this.#counters.table.address(row)
      const prefix = { bytes: address, length: 128, text: formatPrefix(address, 128) }
      this.#detect({
        scope: 'host',
        target: formatAddress(address),
        prefix,
        hostgroup: policy.hostgroup,
        hosts: [],
        shared: 0,
        ...worst,
        ...this.#measure(window, ofRow(row), ratesOf(window.sums, base, policy.windowMs), worst),
        receivedAt: now,
      })
    }
  }

  /** Many addresses together: fires when they are over a budget without those that are over one of their own. */
  #compare(aggregate: Aggregate, stretch: number, now: number): void {
    const { policy, cells, lastFired, lastLook } = aggregate
    const window = this.#counters.windows[policy.window] as SlidingWindow
    const { slots } = this.#counters.policies.layout
    const sum = (slot: number) => {
      let total = 0
      for (const cell of cells) total += window.cellSums[cell * slots + slot] as number
      return total
    }
    for (const [index, direction] of DIRECTIONS.entries()) {
      const last = lastFired[index] as number
      if (last !== 0 && now - last < this.#repeatMs) continue
      const worst = worstLimit(policy.limits, direction, stretch, sum)
      if (!worst || now - (lastLook[index] as number) < LOOK_MS) continue
      lastLook[index] = now
      const { shared, hosts } = this.#look(aggregate, worst.limit, direction, now)
      if (shared <= worst.limit.budget * stretch) continue
      lastFired[index] = now
      const perSecond = (worst.limit.factor * 1000) / policy.windowMs
      const averages = ratesOf(window.sumCells(cells), 0, policy.windowMs)
      this.#detect({
        scope: aggregate.scope,
        target: aggregate.name,
        prefix: aggregate.prefix,
        hostgroup: policy.hostgroup,
        ...worst,
        ...this.#measure(window, ofCells(cells, this.#counters.cells.highWater), averages, worst),
        hosts: hosts.map(({ row, amount }) => {
          const address = this.#counters.table.address(row)
          return { address, text: formatAddress(address), rate: amount * perSecond }
        }),
        shared: shared * perSecond,
        receivedAt: now,
      })
    }
  }

  /** Who has how much of it; an address that is over a threshold of its own is not counted: it is dealt with by itself. */
  #look(aggregate: Aggregate, limit: Limit, direction: Direction, now: number) {
    const counters = this.#counters
    const window = counters.windows[aggregate.policy.window] as SlidingWindow
    const stretch = counters.windows.map((each) => each.stretch(now))
    const marked = new Uint8Array(counters.cells.highWater)
    for (const cell of aggregate.cells) marked[cell] = 1
    const hosts: { row: number; amount: number }[] = []
    let shared = 0
    for (let row = 0; row < counters.table.highWater; row++) {
      if (counters.liveEntries(row) === 0 || marked[counters.cellOfRow(row)] !== 1) continue
      const amount = window.sums[window.base(row) + limit.slot] as number
      if (amount === 0) continue
      const policy = counters.policyOfRow(row)
      const own = counters.windows[policy.window] as SlidingWindow
      const base = own.base(row)
      const over = worstLimit(
        policy.limits,
        direction,
        stretch[policy.window] as number,
        (slot) => own.sums[base + slot] as number,
      )
      if (over) continue
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

  #detect({ limit, ratio, ...detection }: Omit<Detection, 'metric' | 'threshold'> & Worst): void {
    this.detections++
    this.#options.onDetection({ ...detection, metric: limit.metric, threshold: limit.rate })
  }

  /** What the target does now: the newest interval, of all agents together, beside the window. */
  #measure(window: SlidingWindow, which: Which, averages: HostRates, { limit, ratio }: Worst) {
    const slices = [...window.slices()]
    const newest = slices.reduce<Slice | undefined>((a, b) => (a && a.endMs > b.endMs ? a : b), undefined)
    const { layout } = this.#counters.policies
    const recent =
      newest && newest.coversMs > 0
        ? slices.filter((slice) => slice.endMs > newest.startMs + newest.coversMs / 2)
        : []
    const longest = Math.max(0, ...recent.map((slice) => slice.coversMs))
    const sums = sumEntries(recent, which, layout)
    const latest = longest > 0 ? ratesOf(sums, 0, longest) : NO_RATES
    const now = longest > 0 ? ((sums[limit.slot] as number) * limit.factor * 1000) / longest : 0
    return {
      direction: limit.direction,
      value: Math.max(limit.rate * ratio, now),
      rates: largerRates(averages, latest),
      averages,
      mix: mixOf(recent, which, limit.direction),
    }
  }

  /** One address now, or undefined when it is outside all networks. */
  host(address: string | Uint8Array): HostView | undefined {
    const bytes = typeof address === 'string' ? parseAddress(address) : address
    const counters = this.#counters
    const policy = counters.policies.policyFor(bytes)
    if (!policy) return undefined
    counters.advance(this.#clock())
    const row = counters.table.find(new Uint32Array(bytes.slice().buffer), 0)
    const window = counters.windows[policy.window] as SlidingWindow
    const base = row === NO_ROW ? 0 : window.base(row)
    const thresholds = policy.limits.map((limit) => ({
      limit,
      current:
        row === NO_ROW
          ? 0
          : ((window.sums[base + limit.slot] as number) * limit.factor * 1000) / policy.windowMs,
      of: '',
    }))
    const aggregates = row === NO_ROW ? [] : counters.cells.aggregatesOf(counters.cellOfRow(row))
    for (const { name, policy: shared, cells } of aggregates) {
      const from = counters.windows[shared.window] as SlidingWindow
      const sums = from.sumCells(cells)
      for (const limit of shared.limits) {
        const current = ((sums[limit.slot] as number) * limit.factor * 1000) / shared.windowMs
        thresholds.push({ limit, current, of: name })
      }
    }
    return {
      address: bytes,
      policy,
      rates: row === NO_ROW ? NO_RATES : ratesOf(window.sums, base, policy.windowMs),
      thresholds: thresholds.sort((a, b) => b.current / b.limit.rate - a.current / a.limit.rate),
    }
  }

  /** The busiest addresses, largest first; both directions together unless one is named. */
  top(by: TopOrder, limit: number, direction?: Direction): HostSummary[] {
    const counters = this.#counters
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
  external(): Record<Direction, { pps: number; bps: number; flows: number }> {
    const window = this.#counters.windows[0]
    this.#counters.advance(this.#clock())
    const rates = (at: number) => {
      const perSecond = 1000 / (window?.windowMs ?? 1000)
      const sum = (index: number) => (window?.external[at + index] ?? 0) * perSecond
      return { pps: sum(0), bps: sum(1) * 8, flows: sum(2) }
    }
    return { incoming: rates(0), outgoing: rates(3) }
  }

  /** Averages over the window of what a detection was about; undefined when it has no counters any more. */
  averages(scope: Scope, target: string): HostRates | undefined {
    const counters = this.#counters
    if (scope === 'host') return this.host(target)?.rates
    for (const { scope: kind, name, policy, cells } of counters.cells.aggregates()) {
      if (kind !== scope || name !== target) continue
      counters.advance(this.#clock())
      const window = counters.windows[policy.window] as SlidingWindow
      return ratesOf(window.sumCells(cells), 0, policy.windowMs)
    }
    return undefined
  }

  /** All protected addresses together and each hostgroup; for metrics. */
  groups(): { name: string; rates: HostRates }[] {
    const window = this.#counters.windows[0]
    if (!window) return []
    const { cells, policies } = this.#counters
    this.#counters.advance(this.#clock())
    const rates = (from: Iterable<number>) => ratesOf(window.sumCells(from), 0, window.windowMs)
    const named = policies.groups.map((name, index) => ({ name, rates: rates(cells.cellsOfGroup(index)) }))
    return [...named, { name: 'total', rates: rates(cells.all()) }]
  }
}

interface Worst {
  limit: Limit
  /** What there is over what there may be; above 1. */
  ratio: number
}

/** The limit that is exceeded most, if any is. */
function worstLimit(
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
