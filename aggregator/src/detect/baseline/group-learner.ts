// SPDX-License-Identifier: Apache-2.0
import type { Aggregate } from '../cells.js'
import type { Counters } from '../counters.js'
import type { Limit } from '../limits.js'
import type { AggregatePolicy, PolicySet } from '../policies.js'
import type { SlidingWindow } from '../window.js'
import { setBudgets } from './in-force.js'
import { EXCLUDE_MS, LOOK_MS, MINUTE_MS } from './pace.js'
import { Profiles } from './profiles.js'
import type { Channel } from './rule.js'
import type { StoredProfile } from './snapshot.js'
import type { BaselineScope, Subject } from './subject.js'

/** More attacked addresses than this at once, and the rest of a hostgroup is not worth a measurement. */
const MOST_ATTACKED = 1024

/** What is usual for an address at this hour, per second; 0 where nothing is known. */
export type UsualOf = (counters: Counters, row: number, channel: number) => number

interface Group {
  /** As in the file: `hostgroup web`, `total`. */
  name: string
  scope: 'hostgroup' | 'total'
  target: string
  policy: AggregatePolicy
}

/** Learns of hostgroups and of everything together. Addresses under attack count with what is usual for them. */
export class GroupLearner {
  readonly profiles: Profiles
  readonly #groups: Group[] = []
  /** Rows that were over a threshold lately, and until when they do not count. */
  readonly #attacked = new Map<number, number>()
  #lookedAt: number | undefined
  #minuteBegan: number | undefined
  #crowded = false
  readonly #usualOf: UsualOf

  constructor(policies: PolicySet, hour: number, usualOf: UsualOf) {
    this.#usualOf = usualOf
    const add = (scope: Group['scope'], target: string, policy: AggregatePolicy | undefined) => {
      if (!policy || policy.learns.length === 0) return
      this.#groups.push({ name: nameOf(scope, target), scope, target, policy })
    }
    add('total', 'total', policies.total)
    for (const [index, policy] of policies.groupTotals.entries()) {
      add('hostgroup', policies.groups[index] ?? '', policy)
    }
    this.profiles = new Profiles(this.#groups.length, policies.channels.length)
    for (let index = 0; index < this.#groups.length; index++) this.profiles.clear(index, hour)
  }

  get names(): string[] {
    return this.#groups.map(({ name }) => name)
  }

  hostFired(row: number, now: number): void {
    if (this.#groups.length === 0) return
    if (this.#attacked.size >= MOST_ATTACKED && !this.#attacked.has(row)) this.#crowded = true
    else this.#attacked.set(row, now + EXCLUDE_MS)
  }

  /** All of it together is over its threshold. */
  fired(aggregate: Aggregate, now: number): void {
    for (const [index, { scope, target }] of this.#groups.entries()) {
      // Who bombs a prefix is part of what its hostgroup and the total get, too.
      const within =
        aggregate.scope === 'prefix' ||
        scope === 'total' ||
        (scope === aggregate.scope && target === aggregate.name)
      if (within) this.profiles.exclude(index, now + EXCLUDE_MS)
    }
  }

  tick(counters: Counters, now: number, watching: boolean, hour: number): void {
    if (this.#groups.length === 0) return
    if (this.#lookedAt === undefined || now - this.#lookedAt >= LOOK_MS) {
      this.#lookedAt = now
      this.#look(counters, now)
    }
    this.#minuteBegan ??= now
    if (now - this.#minuteBegan < MINUTE_MS) return
    this.#minuteBegan = now
    for (let index = 0; index < this.#groups.length; index++) {
      this.profiles.endMinute(index, hour, now, watching && !this.#crowded)
    }
    this.#crowded = false
    this.refresh(hour)
  }

  #look(counters: Counters, now: number): void {
    for (const [row, until] of this.#attacked) {
      if (until < now || !counters.firedSince(row, now - EXCLUDE_MS)) this.#attacked.delete(row)
    }
    for (const aggregate of counters.cells.aggregates()) {
      const index = this.#groups.findIndex(({ policy }) => policy === aggregate.policy)
      if (index < 0) continue
      const { policy, cells } = aggregate
      const window = counters.windows[policy.window] as SlidingWindow
      const attacked = [...this.#attacked.keys()].filter((row) => cells.has(counters.cellOfRow(row)))
      for (const k of policy.learns) {
        const { learn, slot, factor } = policy.limits[k] as Limit
        if (!learn) continue
        let sum = 0
        for (const cell of cells) sum += window.cellSum(cell, slot)
        // Without what is usual for them, a long attack on the largest would teach that there is little.
        let usual = 0
        for (const row of attacked) {
          sum -= window.sums[window.base(row) + slot] as number
          usual += this.#usualOf(counters, row, learn.channel)
        }
        this.profiles.note(index, learn.channel, (sum * factor * 1000) / policy.windowMs + usual)
      }
    }
  }

  /** Thresholds of this hour. */
  refresh(hour: number): void {
    for (const [index, { policy }] of this.#groups.entries()) setBudgets(policy, this.profiles, index, hour)
  }

  subject(scope: BaselineScope, target: string): Subject | undefined {
    return [...this.subjects()].find((each) => each.scope === scope && each.target === target)
  }

  *subjects(): IterableIterator<Subject> {
    for (const [index, { scope, target, policy }] of this.#groups.entries()) {
      const hostgroup = scope === 'hostgroup' ? target : ''
      yield { scope, target, hostgroup, limits: policy, profiles: this.profiles, index }
    }
  }

  forget(scope: BaselineScope, target: string, hour: number): boolean {
    const subject = this.subject(scope, target)
    if (!subject) return false
    this.profiles.clear(subject.index, hour)
    this.refresh(hour)
    return true
  }

  *stored(): IterableIterator<StoredProfile> {
    const key = new Uint8Array(16)
    for (let index = 0; index < this.#groups.length; index++) yield { key, profiles: this.profiles, index }
  }

  restore(
    name: string,
    { profiles, index: old }: StoredProfile,
    channels: readonly Channel[],
    ours: readonly Channel[],
  ): void {
    const index = this.#groups.findIndex((group) => group.name === name)
    if (index >= 0) this.profiles.copy(index, profiles, old, channels, ours)
  }
}

function nameOf(scope: Group['scope'], target: string): string {
  return scope === 'total' ? 'total' : `hostgroup ${target}`
}
