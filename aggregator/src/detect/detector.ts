// SPDX-License-Identifier: Apache-2.0
import { formatAddress, formatPrefix } from '@flowdam/common'
import type { HostDeltas } from '@flowdam/proto'
import type { AgentEvent, AgentInfo, DeltaSink } from '../contracts.js'
import { Attendance } from './attendance.js'
import type { Baselines } from './baseline/baselines.js'
import type { Aggregate } from './cells.js'
import { type CounterLosses, Counters, type CountersOptions, NO_LOSSES } from './counters.js'
import type { Detection, Scope } from './detection.js'
import { measure } from './measure.js'
import type { Policy, PolicySet } from './policies.js'
import { type HostRates, ratesOf } from './sample.js'
import { findSharers } from './sharers.js'
import { Slice } from './slice.js'
import { SlicePool } from './slice-pool.js'
import { DIRECTIONS, type Direction } from './slots.js'
import { Timeline } from './timeline.js'
import { ofCells, ofRow } from './traffic.js'
import {
  type Brief,
  type GroupRates,
  type HostSummary,
  type HostView,
  type TopOrder,
  Views,
} from './views.js'
import type { SlidingWindow } from './window.js'
import { type Worst, worstLimit } from './worst-limit.js'

export interface DetectorOptions {
  policies: PolicySet
  counters?: CountersOptions
  /** Learned thresholds; without, the configured ones alone decide. */
  baselines?: Baselines
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

/** Takes host deltas, keeps exact window sums, and says when a threshold is exceeded. */
export class Detector implements DeltaSink {
  readonly #options: DetectorOptions
  readonly #clock: () => number
  readonly #baselines: Baselines | undefined
  readonly #attendance = new Attendance()
  readonly #repeatMs: number
  readonly #timelines = new Map<string, { timeline: Timeline; lastSeq: number }>()
  #counters: Counters
  readonly #pool = new SlicePool()
  #pastLosses: CounterLosses = { ...NO_LOSSES }
  #evaluatedAt = 0
  #timer: NodeJS.Timeout | undefined
  readonly #views: Views
  messages = 0
  entries = 0
  detections = 0
  /** Milliseconds spent on messages, for metrics. */
  busyMs = 0

  constructor(options: DetectorOptions) {
    this.#options = options
    this.#clock = options.clock ?? (() => performance.now())
    this.#repeatMs = options.repeatMs ?? 500
    this.#baselines = options.baselines
    this.#counters = this.#newCounters(options.policies)
    this.#views = new Views(
      () => this.#counters,
      this.#clock,
      () => this.#baselines?.learner,
    )
  }

  start(): void {
    this.#timer = setInterval(() => this.tick(), ADVANCE_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** What is due without a message: windows that end, and learning. */
  tick(): void {
    const now = this.#clock()
    this.#counters.advance(now)
    this.#baselines?.learner?.tick(this.#counters, now, this.#attendance.complete(now))
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
    const { notProtected, tableFull, cutShort, prefixesFull, late } = this.#counters.losses
    return {
      prefixesFull: this.#pastLosses.prefixesFull + prefixesFull,
      notProtected: this.#pastLosses.notProtected + notProtected,
      tableFull: this.#pastLosses.tableFull + tableFull,
      cutShort: this.#pastLosses.cutShort + cutShort,
      late: this.#pastLosses.late + late,
    }
  }

  /** Other networks or thresholds from now on. What the windows hold is counted again under the new rules. */
  reconfigure(policies: PolicySet): void {
    const held = new Set<Slice>()
    for (const window of this.#counters.windows) for (const slice of window.slices()) held.add(slice)
    this.#pastLosses = this.losses
    this.#counters = this.#newCounters(policies)
    const now = this.#clock()
    for (const slice of [...held].sort((a, b) => a.endMs - b.endMs)) {
      slice.holders = 0
      this.#counters.add(slice, now)
    }
    // Seen before; not lost a second time.
    Object.assign(this.#counters.losses, NO_LOSSES)
  }

  #newCounters(policies: PolicySet): Counters {
    return new Counters(policies, this.#options.counters, this.#baselines?.configure(policies))
  }

  onAgentState(agent: AgentInfo, event: AgentEvent): void {
    if (event === 'disconnected') this.#attendance.left(agent.id, this.#clock())
  }

  onHostDeltas(agentId: string, deltas: HostDeltas, _receivedAtMs: number): void {
    const now = this.#clock()
    this.#attendance.message(agentId, now)
    let agent = this.#timelines.get(agentId)
    if (!agent) {
      agent = { timeline: new Timeline(), lastSeq: 0 }
      this.#timelines.set(agentId, agent)
    }
    // The agent's process started anew, or another aggregator had it meanwhile. A reconnect alone changes nothing: what was
    // not confirmed comes again, and what was not sent is merged.
    if (deltas.seq !== agent.lastSeq + 1) agent.timeline.reset()
    agent.lastSeq = deltas.seq
    const coversMs = deltas.coversUs / 1000
    const place = agent.timeline.place(coversMs, now, this.#counters.slackMs)
    const slice = new Slice(agentId, place, deltas.entries, deltas.incoming, deltas.outgoing, this.#pool)
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
    const { layout } = this.#counters.policies
    for (const [index, direction] of DIRECTIONS.entries()) {
      const last = lastFired[row * 2 + index] as number
      if (last !== 0 && now - last < this.#repeatMs) continue
      const worst = worstLimit(policy, direction, stretch, (slot) => window.sums[base + slot] as number)
      if (!worst) continue
      lastFired[row * 2 + index] = now
      this.#baselines?.learner?.fired(this.#counters, row, now)
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
        ...measure(window, layout, ofRow(row), ratesOf(window.sums, base, policy.windowMs), worst),
        receivedAt: now,
      })
    }
  }

  /** Many addresses together: fires when they are over a budget without those that are over one of their own. */
  #compare(aggregate: Aggregate, stretch: number, now: number): void {
    const { policy, cells, lastFired, lastLook } = aggregate
    const window = this.#counters.windows[policy.window] as SlidingWindow
    const { layout } = this.#counters.policies
    const { slots } = layout
    const sum = (slot: number) => {
      let total = 0
      for (const cell of cells) total += window.cellSums[cell * slots + slot] as number
      return total
    }
    for (const [index, direction] of DIRECTIONS.entries()) {
      const last = lastFired[index] as number
      if (last !== 0 && now - last < this.#repeatMs) continue
      const worst = worstLimit(policy, direction, stretch, sum)
      if (!worst || now - (lastLook[index] as number) < LOOK_MS) continue
      lastLook[index] = now
      const { shared, hosts } = findSharers(this.#counters, aggregate, worst.limit.slot, direction, now)
      if (shared <= worst.budget * stretch) continue
      lastFired[index] = now
      this.#baselines?.learner?.firedTogether(this.#counters, aggregate, hosts, now)
      const perSecond = (worst.limit.factor * 1000) / policy.windowMs
      const averages = ratesOf(window.sumCells(cells), 0, policy.windowMs)
      this.#detect({
        scope: aggregate.scope,
        target: aggregate.name,
        prefix: aggregate.prefix,
        hostgroup: policy.hostgroup,
        ...worst,
        ...measure(window, layout, ofCells(cells, this.#counters.cells.highWater), averages, worst),
        hosts: hosts.map(({ row, amount }) => {
          const address = this.#counters.table.address(row)
          return { address, text: formatAddress(address), rate: amount * perSecond }
        }),
        shared: shared * perSecond,
        receivedAt: now,
      })
    }
  }

  #detect({
    limit,
    rate,
    budget,
    ratio,
    ...detection
  }: Omit<Detection, 'metric' | 'threshold' | 'times'> & Worst): void {
    this.detections++
    this.#options.onDetection({ ...detection, metric: limit.metric, threshold: rate, times: ratio })
  }

  /** One address now, or undefined when it is outside all networks. */
  host(address: string | Uint8Array): HostView | undefined {
    return this.#views.host(address)
  }

  /** The busiest addresses, largest first; both directions together unless one is named. */
  top(by: TopOrder, limit: number, direction?: Direction): HostSummary[] {
    return this.#views.top(by, limit, direction)
  }

  /** Every address with traffic, averages over its window. May be read over several turns: each is of its moment. */
  hosts(): IterableIterator<{ address: Uint8Array; rates: HostRates }> {
    return this.#views.hosts()
  }

  /** Everything on external interfaces, protected or not, over the shortest window. */
  external(): Record<Direction, Brief> {
    return this.#views.external()
  }

  /** Averages over the window of what a detection was about; undefined when it has no counters any more. */
  averages(scope: Scope, target: string): HostRates | undefined {
    return this.#views.averages(scope, target)
  }

  /** All protected addresses together and each hostgroup; for metrics. */
  groups(): GroupRates[] {
    return this.#views.groups()
  }
}
