// SPDX-License-Identifier: Apache-2.0
import { formatAddress, formatPrefix } from '@flowdam/common'
import type { Learner } from './baseline/learner.js'
import type { Aggregate } from './cells.js'
import type { Counters } from './counters.js'
import type { Detection } from './detection.js'
import { Newest } from './newest.js'
import type { Policy } from './policies.js'
import { ratesOf } from './sample.js'
import { findSharers, type Look } from './sharers.js'
import { DIRECTIONS } from './slots.js'
import type { SlidingWindow } from './window.js'
import { type Worst, worstLimit } from './worst-limit.js'

export interface FiringOptions {
  onDetection: (detection: Detection) => void
  learner: () => Learner | undefined
  /** Milliseconds, monotonic. */
  clock: () => number
  /** Least time between two detections of the same target and direction. */
  repeatMs: number
}

/** Beyond this many cells, aggregates are compared only every EVALUATE_MS. */
const MANY_CELLS = 4096
const EVALUATE_MS = 50
/** Least time between two looks at an aggregate's addresses, which goes through all rows; */
const LOOK_MS = 200
/** and between two looks at any, as a multiple of what the last one took, and at most. */
const LOOK_REST = 4
const MOST_REST_MS = 1000
/**
 * Addresses that fire: with all that follows one costs some 50 µs, so that this is a quarter of a core and 25 ms at a time. An
 * attack over a whole network brings more of them over their thresholds than anybody bans; they take turns.
 */
export const FIRED_PER_MS = 5
const FIRED_AT_ONCE = 500

/** Of prefixes; each names up to 256 addresses. */
const LOOKED_AT_ONCE = 64

interface Due extends Look {
  worst: Worst
  /** Into DIRECTIONS. */
  side: number
}

/** Makes detections of what a message left over a budget. */
export class Firing {
  readonly #options: FiringOptions
  #evaluatedAt = 0
  #looksFrom = 0
  #tokens = FIRED_AT_ONCE
  #refilledAt = 0
  detections = 0
  /** Times that an address or prefix over a threshold had to wait for its turn. */
  postponed = 0

  constructor(options: FiringOptions) {
    this.#options = options
  }

  /** After each message. */
  evaluate(counters: Counters, now: number): void {
    const { overCount, policies, windows } = counters
    if (overCount === 0 && !policies.hasAggregates) return
    const stretch = windows.map((window) => window.stretch(now))
    if (overCount > 0) this.#fireRows(counters, stretch, now)
    if (!policies.hasAggregates) return
    if (counters.cells.highWater > MANY_CELLS && now - this.#evaluatedAt < EVALUATE_MS) return
    this.#evaluatedAt = now
    this.#fireAggregates(counters, stretch, now)
  }

  #fireRows(counters: Counters, stretch: readonly number[], now: number): void {
    const rows = this.#take(counters, this.#dueRows(counters, now), now)
    if (rows.length === 0) return
    const newest = new Newest(counters, rows, [])
    for (const row of rows) {
      const policy = counters.policyOfRow(row)
      this.#fire(counters, newest, row, policy, stretch[policy.window] as number, now)
    }
  }

  /** Rows over a budget that did not fire just now, in one direction at least. */
  #dueRows({ over, overCount, lastFired }: Counters, now: number): number[] {
    const rows: number[] = []
    for (let i = 0; i < overCount; i++) {
      const row = over[i] as number
      if (this.#isDue(lastFired, row * 2, now) || this.#isDue(lastFired, row * 2 + 1, now)) rows.push(row)
    }
    return rows
  }

  /** As many as may fire now: those first that never did, then those that wait longest. */
  #take({ lastFired }: Counters, rows: number[], now: number): number[] {
    this.#tokens = Math.min(FIRED_AT_ONCE, this.#tokens + (now - this.#refilledAt) * FIRED_PER_MS)
    this.#refilledAt = now
    const most = Math.floor(this.#tokens)
    if (rows.length > most) {
      const last = (row: number) => Math.max(lastFired[row * 2] as number, lastFired[row * 2 + 1] as number)
      rows.sort((a, b) => last(a) - last(b))
      this.postponed += rows.length - most
      rows.length = most
    }
    this.#tokens -= rows.length
    return rows
  }

  #isDue(lastFired: ArrayLike<number>, at: number, now: number): boolean {
    const last = lastFired[at] as number
    return last === 0 || now - last >= this.#options.repeatMs
  }

  /** Something about this row is over its budget: say what, once for each direction. */
  #fire(counters: Counters, newest: Newest, row: number, policy: Policy, stretch: number, now: number): void {
    const window = counters.windows[policy.window] as SlidingWindow
    const base = window.base(row)
    const { lastFired } = counters
    for (const [index, direction] of DIRECTIONS.entries()) {
      if (!this.#isDue(lastFired, row * 2 + index, now)) continue
      const worst = worstLimit(policy, direction, stretch, (slot) => window.sums[base + slot] as number)
      if (!worst) continue
      lastFired[row * 2 + index] = now
      this.#options.learner()?.fired(counters, row, now)
      const address = counters.table.address(row)
      const prefix = { bytes: address, length: 128, text: formatPrefix(address, 128) }
      const averages = ratesOf(window.sums, base, policy.windowMs)
      this.#detect({
        scope: 'host',
        target: formatAddress(address),
        prefix,
        hostgroup: policy.hostgroup,
        hosts: [],
        shared: 0,
        ...worst,
        ...newest.measure(window, newest.ofRow(row), averages, worst),
        receivedAt: now,
      })
    }
  }

  /** Many addresses together: fires when they are over a budget without those that are over one of their own. */
  #fireAggregates(counters: Counters, stretch: readonly number[], now: number): void {
    if (now < this.#looksFrom) return
    const due: Due[] = []
    for (const aggregate of counters.cells.aggregates()) this.#addDue(due, counters, aggregate, stretch, now)
    if (due.length === 0) return
    if (due.length > LOOKED_AT_ONCE) {
      due.sort((a, b) => (a.aggregate.lastLook[a.side] as number) - (b.aggregate.lastLook[b.side] as number))
      this.postponed += due.length - LOOKED_AT_ONCE
      due.length = LOOKED_AT_ONCE
    }
    const began = this.#options.clock()
    for (const { aggregate, side } of due) aggregate.lastLook[side] = now
    const sharers = findSharers(counters, due, now)
    const firing = [...due.entries()].filter(([i, { aggregate, worst }]) => {
      const longer = stretch[aggregate.policy.window] as number
      return (sharers[i]?.shared ?? 0) > worst.budget * longer
    })
    const newest = new Newest(
      counters,
      [],
      firing.map(([, { aggregate }]) => aggregate.cells),
    )
    for (const [i, { aggregate, direction, worst, side }] of firing) {
      const { policy, cells, lastFired } = aggregate
      const { shared = 0, hosts = [] } = sharers[i] ?? {}
      lastFired[side] = now
      this.#options.learner()?.firedTogether(counters, aggregate, hosts, now)
      const window = counters.windows[policy.window] as SlidingWindow
      const perSecond = (worst.limit.factor * 1000) / policy.windowMs
      const averages = ratesOf(window.sumCells(cells), 0, policy.windowMs)
      this.#detect({
        scope: aggregate.scope,
        target: aggregate.name,
        prefix: aggregate.prefix,
        hostgroup: policy.hostgroup,
        ...worst,
        ...newest.measure(window, newest.ofCells(cells), averages, worst),
        direction,
        hosts: hosts.map(({ row, amount }) => {
          const address = counters.table.address(row)
          return { address, text: formatAddress(address), rate: amount * perSecond }
        }),
        shared: shared * perSecond,
        receivedAt: now,
      })
    }
    this.#looksFrom = now + Math.min(MOST_REST_MS, LOOK_REST * (this.#options.clock() - began))
  }

  #addDue(
    due: Due[],
    { windows, policies }: Counters,
    aggregate: Aggregate,
    stretch: readonly number[],
    now: number,
  ): void {
    const { policy, cells, lastFired, lastLook } = aggregate
    const window = windows[policy.window] as SlidingWindow
    const { slots } = policies.layout
    const sum = (slot: number) => {
      let total = 0
      for (const cell of cells) total += window.cellSums[cell * slots + slot] as number
      return total
    }
    for (const [side, direction] of DIRECTIONS.entries()) {
      if (!this.#isDue(lastFired, side, now) || now - (lastLook[side] as number) < LOOK_MS) continue
      const worst = worstLimit(policy, direction, stretch[policy.window] as number, sum)
      if (worst) due.push({ aggregate, slot: worst.limit.slot, direction, worst, side })
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
}
