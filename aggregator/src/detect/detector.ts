// SPDX-License-Identifier: Apache-2.0
import { formatAddress, parseAddress } from '@flowdam/common'
import type { HostDeltas } from '@flowdam/proto'
import type { AgentEvent, AgentInfo, DeltaSink } from '../contracts.js'
import { NO_ROW } from './address-table.js'
import { type CounterLosses, Counters, type CountersOptions } from './counters.js'
import type { Limit, Policy, PolicySet } from './policies.js'
import { type HostRates, largerRates, metricRate, NO_RATES, ratesOf, sumRow } from './sample.js'
import { Slice } from './slice.js'
import { DIRECTION_SLOTS, DIRECTIONS, type Direction, FLOWS_SLOT, type Metric, ROW_SLOTS } from './slots.js'
import { Timeline } from './timeline.js'
import type { SlidingWindow } from './window.js'

/** A threshold was exceeded. */
export interface Detection {
  address: Uint8Array
  addressText: string
  direction: Direction
  hostgroup: string
  metric: Metric
  /** Per second, in the metric's unit. */
  threshold: number
  /** What the metric is now, as in `rates`; always above the threshold. */
  value: number
  /** What the address does now: the larger of the last interval and the window, so that a young flood shows its size. */
  rates: HostRates
  /** Averages over the window. */
  averages: HostRates
  /** performance.now() when the message that made it fire came in. */
  receivedAt: number
}

export interface HostView {
  address: Uint8Array
  policy: Policy
  rates: HostRates
  thresholds: { limit: Limit; current: number }[]
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

/** Takes host deltas, keeps exact window sums, and says when a threshold is exceeded. */
export class Detector implements DeltaSink {
  readonly #options: DetectorOptions
  readonly #clock: () => number
  readonly #repeatMs: number
  readonly #timelines = new Map<string, { timeline: Timeline; lastSeq: number }>()
  #counters: Counters
  #pastLosses: CounterLosses = { notProtected: 0, tableFull: 0, cutShort: 0 }
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
    const { notProtected, tableFull, cutShort } = this.#counters.losses
    return {
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
    Object.assign(this.#counters.losses, { notProtected: 0, tableFull: 0, cutShort: 0 })
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
    if (counters.overCount === 0) return
    const stretch = counters.windows.map((window) => window.stretch(now))
    for (let i = 0; i < counters.overCount; i++) {
      const row = counters.over[i] as number
      const policy = counters.policyOfRow(row)
      this.#fire(row, policy, stretch[policy.window] as number, now)
    }
  }

  /** Something about this row is over its budget: say what, once for each direction. */
  #fire(row: number, policy: Policy, stretch: number, now: number): void {
    const window = this.#counters.windows[policy.window] as SlidingWindow
    const base = window.base(row)
    for (const [index, direction] of DIRECTIONS.entries()) {
      let worst: Limit | undefined
      let worstRatio = 1
      for (const limit of policy.limits) {
        if (limit.direction !== direction) continue
        const ratio = (window.sums[base + limit.slot] as number) / (limit.budget * stretch)
        if (ratio > worstRatio) {
          worst = limit
          worstRatio = ratio
        }
      }
      const { lastFired } = this.#counters
      const last = lastFired[row * 2 + index] as number
      if (!worst || (last !== 0 && now - last < this.#repeatMs)) continue
      lastFired[row * 2 + index] = now
      this.detections++
      const address = this.#counters.table.address(row)
      const averages = ratesOf(window.sums, base, policy.windowMs)
      const rates = largerRates(averages, this.#latestRates(window, row))
      this.#options.onDetection({
        address,
        addressText: formatAddress(address),
        direction,
        hostgroup: policy.hostgroup,
        metric: worst.metric,
        threshold: worst.rate,
        value: Math.max(worst.rate * worstRatio, metricRate(rates[direction], worst.metric)),
        rates,
        averages,
        receivedAt: now,
      })
    }
  }

  /** Rates in the newest interval, of all agents together. */
  #latestRates(window: SlidingWindow, row: number): HostRates {
    const slices = [...window.slices()]
    const newest = slices.reduce<Slice | undefined>((a, b) => (a && a.endMs > b.endMs ? a : b), undefined)
    if (!newest || newest.coversMs <= 0) return NO_RATES
    const recent = slices.filter((slice) => slice.endMs > newest.startMs + newest.coversMs / 2)
    const longest = Math.max(...recent.map((slice) => slice.coversMs))
    return ratesOf(sumRow(recent, row), 0, longest)
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
    }))
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

  /** All protected addresses together and each hostgroup; for metrics. */
  groups(): { name: string; rates: HostRates }[] {
    const window = this.#counters.windows[0]
    if (!window) return []
    this.#counters.advance(this.#clock())
    const named = this.#counters.policies.groups.map((name, index) => ({
      name,
      rates: ratesOf(window.groupSums, index * ROW_SLOTS, window.windowMs),
    }))
    return [...named, { name: 'total', rates: ratesOf(window.totalSums(), 0, window.windowMs) }]
  }
}
