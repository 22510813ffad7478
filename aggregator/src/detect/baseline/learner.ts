// SPDX-License-Identifier: Apache-2.0
import { formatAddress, parseAddress } from '@flowdam/common'
import { NO_ROW } from '../address-table.js'
import type { Aggregate } from '../cells.js'
import type { Counters, OwnPolicies } from '../counters.js'
import type { Limit } from '../limits.js'
import type { Policy, PolicySet } from '../policies.js'
import type { SlidingWindow } from '../window.js'
import { acceptNow } from './accept.js'
import { GroupLearner } from './group-learner.js'
import { HostProfiles, wordsOf } from './host-profiles.js'
import { neededHours, setBudgets } from './in-force.js'
import { meaningfulSums } from './meaningful.js'
import { EXCLUDE_MS, LOOK_MS, MINUTE_MS } from './pace.js'
import { decodeRate, UNKNOWN } from './rate-code.js'
import type { Channel } from './rule.js'
import type { Snapshot, StoredProfile } from './snapshot.js'
import type { BaselineScope, Subject } from './subject.js'
import { hourOf } from './week.js'

/** A profile without traffic for so many hours is forgotten. */
const IDLE_HOURS = 28 * 24
/** Most rows looked at, and profiles made, at one tick: late work must not hold up detection. */
const MOST_ROWS = 4096
const MOST_ADMITTED = 2000

export interface LearnerOptions {
  maxProfiles: number
  suppressed: (address: Uint8Array) => boolean
  wallClock: () => number
}

/**
 * Looks at each address's window sums every ten seconds, keeps each minute's largest and learns from each hour's minutes.
 * The work is spread over time: some rows and some profiles at each tick.
 */
export class Learner implements OwnPolicies {
  readonly channels: readonly Channel[]
  readonly groups: GroupLearner
  readonly #policies: PolicySet
  readonly #options: LearnerOptions
  readonly #hosts: HostProfiles
  /** With the budgets in force, by profile; of addresses that have counters. */
  readonly #own: (Policy | undefined)[]
  #row = 0
  #lookedAt: number | undefined
  #profile = 0
  #minuteBegan: number | undefined
  /** Profiles that may still be made at this tick; and whether a search for room was in vain. */
  #admissions = 0
  #crowded = false
  refused = 0
  evicted = 0

  constructor(policies: PolicySet, options: LearnerOptions) {
    this.#policies = policies
    this.#options = options
    this.channels = policies.channels
    this.#hosts = new HostProfiles(options.maxProfiles, this.channels.length)
    this.#own = new Array(options.maxProfiles).fill(undefined)
    this.groups = new GroupLearner(policies, this.#hour(), (counters, row, channel) => {
      const profile = counters.ownOfRow(row)
      const code = profile < 0 ? UNKNOWN : this.#hosts.usual(profile, channel, this.#hour())
      return code === UNKNOWN ? 0 : decodeRate(code)
    })
  }

  get capacity(): number {
    return this.#hosts.capacity
  }

  get unixMs(): number {
    return this.#options.wallClock()
  }

  get hostCount(): number {
    return this.#hosts.size
  }

  find(words: Uint32Array, at: number): number {
    return this.#hosts.find(words, at)
  }

  policyOf(profile: number, base: Policy): Policy {
    const known = this.#own[profile]
    if (known && known.limits === base.limits) return known
    const own = { ...base, budgets: Float64Array.from(base.budgets) }
    this.#own[profile] = own
    setBudgets(own, this.#hosts, profile, this.#hour())
    return own
  }

  /** Something of this row is over its threshold. */
  fired(counters: Counters, row: number, now: number): void {
    const profile = counters.ownOfRow(row)
    if (profile >= 0) this.#hosts.exclude(profile, now + EXCLUDE_MS)
    this.groups.hostFired(row, now)
  }

  /** Many addresses together are over a threshold: neither they nor what they are part of teach. */
  firedTogether(
    counters: Counters,
    aggregate: Aggregate,
    hosts: readonly { row: number }[],
    now: number,
  ): void {
    this.groups.fired(aggregate, now)
    for (const { row } of hosts) {
      const profile = counters.ownOfRow(row)
      if (profile >= 0) this.#hosts.exclude(profile, now + EXCLUDE_MS)
    }
  }

  /** Some of the work that is due. `watching`: whether all traffic is seen. */
  tick(counters: Counters, now: number, watching: boolean): void {
    this.#lookAtRows(counters, now)
    this.#endMinutes(counters, now, watching)
    this.groups.tick(counters, now, watching, this.#hour())
  }

  #lookAtRows(counters: Counters, now: number): void {
    const { highWater } = counters.table
    const since = now - (this.#lookedAt ?? now - LOOK_MS)
    const due = Math.ceil((highWater * since) / LOOK_MS)
    const count = Math.min(highWater, due, Math.max(MOST_ROWS, Math.ceil(highWater / 20)))
    this.#lookedAt = now
    this.#admissions = MOST_ADMITTED
    this.#crowded = false
    for (let i = 0; i < count; i++) {
      if (this.#row >= highWater) this.#row = 0
      const row = this.#row++
      if (counters.liveEntries(row) === 0) continue
      const policy = counters.policyOfRow(row)
      if (policy.learns.length > 0) this.#look(counters, row, policy, now)
    }
  }

  #look(counters: Counters, row: number, policy: Policy, now: number): void {
    const window = counters.windows[policy.window] as SlidingWindow
    const { sums } = window
    const base = window.base(row)
    let profile = counters.ownOfRow(row)
    if (profile < 0) {
      const least = meaningfulSums(policy)
      let worth = false
      for (const k of policy.learns) {
        const { slot } = policy.limits[k] as Limit
        if ((sums[base + slot] as number) >= (least[k] as number)) worth = true
      }
      if (!worth || counters.firedSince(row, now - EXCLUDE_MS)) return
      profile = this.#admit(counters, counters.table.address(row))
      if (profile < 0) return
      counters.giveOwn(row, profile, this.policyOf(profile, policy))
    }
    for (const k of policy.learns) {
      const { learn, slot, factor } = policy.limits[k] as Limit
      const rate = ((sums[base + slot] as number) * factor * 1000) / policy.windowMs
      if (learn) this.#hosts.note(profile, learn.channel, rate)
    }
  }

  /** A profile for an address; NO_ROW where there is no room and nobody gives way. */
  #admit(counters: Counters, address: Uint8Array): number {
    if (this.#hosts.full && !this.#makeRoom(counters)) {
      this.refused++
      return NO_ROW
    }
    // The rest comes in the next round.
    if (this.#admissions-- <= 0) return NO_ROW
    return this.#hosts.insert(address, this.#hour())
  }

  #makeRoom(counters: Counters): boolean {
    if (this.#crowded) return false
    const index = this.#hosts.findNewcomer(this.#hour(), (each) => this.#isReady(each))
    this.#crowded = index === NO_ROW
    if (this.#crowded) return false
    this.#evict(index, counters)
    return true
  }

  /** Each profile's minute ends once in a minute, at a time of its own. */
  #endMinutes(counters: Counters, now: number, watching: boolean): void {
    this.#minuteBegan ??= now
    const { highWater } = this.#hosts
    const hour = this.#hour()
    const due = Math.min(highWater, Math.floor((highWater * (now - this.#minuteBegan)) / MINUTE_MS))
    for (; this.#profile < due; this.#profile++) {
      if (this.#hosts.isUsed(this.#profile)) this.#endMinute(this.#profile, counters, now, hour, watching)
    }
    if (now - this.#minuteBegan < MINUTE_MS) return
    this.#profile = 0
    this.#minuteBegan = now - this.#minuteBegan < 2 * MINUTE_MS ? this.#minuteBegan + MINUTE_MS : now
  }

  #endMinute(index: number, counters: Counters, now: number, hour: number, watching: boolean): void {
    const hosts = this.#hosts
    const before = hosts.hour[index]
    hosts.endMinute(index, hour, now, watching && !this.#options.suppressed(hosts.address(index)))
    // After the minute's traffic is known: when we were away for weeks, or the clock is wrong, all look idle.
    if (hour - (hosts.active[index] as number) > IDLE_HOURS) {
      this.#evict(index, counters)
      return
    }
    const own = this.#own[index]
    if (own && before !== hour) setBudgets(own, hosts, index, hour)
  }

  #evict(index: number, counters: Counters): void {
    const row = counters.table.find(wordsOf(this.#hosts.address(index)), 0)
    if (row !== NO_ROW) counters.takeOwn(row)
    this.#hosts.remove(index)
    this.#own[index] = undefined
    this.evicted++
  }

  #isReady(index: number): boolean {
    const policy = this.#policies.policyFor(this.#hosts.address(index))
    return policy !== undefined && neededHours(policy, this.#hosts, index).left === 0
  }

  #hour(): number {
    return hourOf(this.#options.wallClock())
  }

  subject(scope: BaselineScope, target: string): Subject | undefined {
    if (scope !== 'host') return this.groups.subject(scope, target)
    const index = this.#hosts.indexOf(parseAddress(target))
    return index === NO_ROW ? undefined : this.#subjectOf(index)
  }

  /** Total and hostgroups first, then addresses, in no order. */
  *subjects(): IterableIterator<Subject> {
    yield* this.groups.subjects()
    for (const index of this.#hosts.indices()) {
      const subject = this.#subjectOf(index)
      if (subject) yield subject
    }
  }

  #subjectOf(index: number): Subject | undefined {
    const address = this.#hosts.address(index)
    const policy = this.#policies.policyFor(address)
    if (!policy || policy.learns.length === 0) return undefined
    const target = formatAddress(address)
    return {
      scope: 'host',
      target,
      hostgroup: policy.hostgroup,
      limits: policy,
      profiles: this.#hosts,
      index,
    }
  }

  /** Begins anew; false when nothing was known. */
  forget(scope: BaselineScope, target: string): boolean {
    const hour = this.#hour()
    if (scope !== 'host') return this.groups.forget(scope, target, hour)
    const index = this.#hosts.indexOf(parseAddress(target))
    if (index === NO_ROW) return false
    this.#hosts.clear(index, hour)
    const own = this.#own[index]
    if (own) setBudgets(own, this.#hosts, index, hour)
    return true
  }

  /** What it gets now, or so many times what is usual, is no attack; acceptNow. Undefined when nothing is known of it. */
  accept(counters: Counters, scope: BaselineScope, target: string, times?: number): number | undefined {
    const subject = this.subject(scope, target)
    if (!subject) return undefined
    const hour = this.#hour()
    const raised = acceptNow(subject, rateNow(counters, subject), times, hour)
    const own = scope === 'host' ? this.#own[subject.index] : undefined
    if (own) setBudgets(own, this.#hosts, subject.index, hour)
    if (scope !== 'host') this.groups.refresh(hour)
    return raised
  }

  *stored(): IterableIterator<StoredProfile> {
    yield* this.groups.stored()
    yield* this.#storedHosts()
  }

  restore(snapshot: Snapshot): void {
    let record = 0
    for (const stored of snapshot.records()) {
      const group = snapshot.groups[record++]
      if (group === undefined) this.#restoreHost(stored, snapshot.channels)
      else this.groups.restore(group, stored, snapshot.channels, this.channels)
    }
    this.groups.refresh(this.#hour())
  }

  /** What another one learned, under other rules. */
  takeOver(before: Learner): void {
    const names = before.groups.names
    for (const [index, stored] of [...before.groups.stored()].entries()) {
      this.groups.restore(names[index] as string, stored, before.channels, this.channels)
    }
    for (const stored of before.#storedHosts()) this.#restoreHost(stored, before.channels)
    this.groups.refresh(this.#hour())
  }

  *#storedHosts(): IterableIterator<StoredProfile> {
    for (const index of this.#hosts.indices()) {
      yield { key: this.#hosts.address(index), profiles: this.#hosts, index }
    }
  }

  /** Not for an address that nothing is learned of any more. */
  #restoreHost({ key, profiles, index: old }: StoredProfile, channels: readonly Channel[]): void {
    if (!this.#policies.policyFor(key)?.learns.length) return
    const index = this.#hosts.insert(key, this.#hour())
    if (index === NO_ROW) this.refused++
    else this.#hosts.copy(index, profiles, old, channels, this.channels)
  }
}

/** What a target's window holds, as a rate. */
function rateNow(counters: Counters, { scope, target, limits }: Subject): (limit: Limit) => number {
  const window = counters.windows[limits.window] as SlidingWindow
  const perSecond = 1000 / limits.windowMs
  if (scope === 'host') {
    const row = counters.table.find(wordsOf(parseAddress(target)), 0)
    const base = window.base(row)
    return ({ slot, factor }) =>
      row === NO_ROW ? 0 : (window.sums[base + slot] as number) * factor * perSecond
  }
  const aggregate = [...counters.cells.aggregates()].find(({ policy }) => policy === limits)
  const sums = window.sumCells(aggregate?.cells ?? [])
  return ({ slot, factor }) => (sums[slot] as number) * factor * perSecond
}
