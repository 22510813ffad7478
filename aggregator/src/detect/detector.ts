// SPDX-License-Identifier: Apache-2.0
import type { HostDeltas } from '@flowdam/proto'
import type { AgentEvent, AgentInfo, DeltaSink } from '../contracts.js'
import { Attendance } from './attendance.js'
import type { Baselines } from './baseline/baselines.js'
import type { BaselineScope } from './baseline/subject.js'
import { type CounterLosses, Counters, type CountersOptions, NO_LOSSES } from './counters.js'
import type { Detection, Scope } from './detection.js'
import { Firing } from './firing.js'
import type { PolicySet } from './policies.js'
import type { HostRates } from './sample.js'
import { Slice } from './slice.js'
import { SlicePool } from './slice-pool.js'
import type { Direction } from './slots.js'
import { Timeline } from './timeline.js'
import {
  type Brief,
  type GroupRates,
  type HostSummary,
  type HostView,
  type TopOrder,
  Views,
} from './views.js'

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

/** Takes host deltas, keeps exact window sums, and says when a threshold is exceeded. */
export class Detector implements DeltaSink {
  readonly #options: DetectorOptions
  readonly #clock: () => number
  readonly #baselines: Baselines | undefined
  readonly #attendance = new Attendance()
  readonly #timelines = new Map<string, { timeline: Timeline; lastSeq: number }>()
  #counters: Counters
  readonly #pool = new SlicePool()
  #pastLosses: CounterLosses = { ...NO_LOSSES }
  #timer: NodeJS.Timeout | undefined
  readonly #views: Views
  messages = 0
  entries = 0
  readonly #firing: Firing
  /** Milliseconds spent on messages, for metrics. */
  busyMs = 0

  constructor(options: DetectorOptions) {
    this.#options = options
    this.#clock = options.clock ?? (() => performance.now())
    this.#baselines = options.baselines
    this.#counters = this.#newCounters(options.policies)
    this.#firing = new Firing({
      onDetection: options.onDetection,
      learner: () => this.#baselines?.learner,
      clock: this.#clock,
      repeatMs: options.repeatMs ?? 500,
    })
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

  get detections(): number {
    return this.#firing.detections
  }

  /** Times that an address or prefix over a threshold had to wait for its turn to fire. */
  get postponed(): number {
    return this.#firing.postponed
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
    this.#firing.evaluate(this.#counters, now)
    this.busyMs += this.#clock() - now
  }

  /** What a target gets now, or so many times what is usual, is no attack. See Learner.accept. */
  acceptBaseline(scope: BaselineScope, target: string, times?: number): number | undefined {
    this.#counters.advance(this.#clock())
    return this.#baselines?.learner?.accept(this.#counters, scope, target, times)
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
