// SPDX-License-Identifier: Apache-2.0
import { type Prefix, PrefixMap } from '@flowdam/common'
import { DIRECTION_SLOTS, DIRECTIONS, type Direction, METRICS, type Metric, metricSlot } from './slots.js'

/** Rates per second by metric; null turns an inherited one off. bps are bits. */
export type Thresholds = { readonly [M in Metric]?: number | null | undefined }

export interface PolicySource {
  incoming?: Thresholds | undefined
  outgoing?: Thresholds | undefined
  /** Milliseconds. */
  window?: number | undefined
}

export interface HostgroupSource extends PolicySource {
  name: string
  prefixes: readonly Prefix[]
}

export interface DetectionSource {
  networks: readonly Prefix[]
  /** What holds where no hostgroup says otherwise. */
  thresholds: PolicySource
  hostgroups: readonly HostgroupSource[]
}

export interface Limit {
  direction: Direction
  metric: Metric
  /** Per second, in the metric's unit. */
  rate: number
  /** Slot in the address's row. */
  slot: number
  /** From the sum's unit to the metric's. */
  factor: number
  /** What the window may hold, in the sum's unit. */
  budget: number
}

/** What holds for the addresses of one prefix. */
export interface Policy {
  prefix: Prefix
  /** Empty where no hostgroup matches. */
  hostgroup: string
  /** Index into PolicySet.groups, -1 where no hostgroup matches. */
  group: number
  windowMs: number
  /** Index into PolicySet.windowsMs. */
  window: number
  limits: readonly Limit[]
  /** The limits again for the hot path. */
  slots: Int32Array
  budgets: Float64Array
}

export const DEFAULT_WINDOW_MS = 1000

/** Thresholds of every protected prefix, inherited total → hostgroup → narrower hostgroup by longest match. */
export class PolicySet {
  readonly policies: readonly Policy[]
  /** Distinct window lengths, shortest first. */
  readonly windowsMs: readonly number[]
  /** Hostgroup names by group index. */
  readonly groups: readonly string[]
  readonly #byPrefix: PrefixMap<number>

  constructor(source: DetectionSource) {
    const named = new Map<string, { prefix: Prefix; group: number; own: PolicySource }>()
    for (const prefix of source.networks) named.set(prefix.text, { prefix, group: -1, own: {} })
    for (const [group, hostgroup] of source.hostgroups.entries()) {
      for (const prefix of hostgroup.prefixes) named.set(prefix.text, { prefix, group, own: hostgroup })
    }
    // Widest first: when a prefix comes, the one it inherits from is already there.
    const ordered = [...named.values()].sort((a, b) => a.prefix.length - b.prefix.length)
    const parents = new PrefixMap<{ effective: Required<PolicySource>; group: number }>()
    const drafts = ordered.map(({ prefix, group, own }) => {
      const parent = parents.lookup(prefix.bytes)
      const from = parent?.effective ?? source.thresholds
      const effective = {
        incoming: { ...from.incoming, ...own.incoming },
        outgoing: { ...from.outgoing, ...own.outgoing },
        window: own.window ?? from.window ?? DEFAULT_WINDOW_MS,
      }
      const inherited = group < 0 ? (parent?.group ?? -1) : group
      parents.set(prefix, { effective, group: inherited })
      return { prefix, group: inherited, effective }
    })
    const windows = new Set(drafts.map((draft) => draft.effective.window))
    this.windowsMs = [...windows].sort((a, b) => a - b)
    this.groups = source.hostgroups.map((hostgroup) => hostgroup.name)
    this.policies = drafts.map(({ prefix, group, effective }) => {
      const limits = compileLimits(effective)
      return {
        prefix,
        hostgroup: this.groups[group] ?? '',
        group,
        windowMs: effective.window,
        window: this.windowsMs.indexOf(effective.window),
        limits,
        slots: Int32Array.from(limits, (limit) => limit.slot),
        budgets: Float64Array.from(limits, (limit) => limit.budget),
      }
    })
    this.#byPrefix = new PrefixMap(this.policies.map((policy, index) => [policy.prefix, index] as const))
  }

  /** Index of the policy for the address at offset; undefined outside all networks. */
  indexOf(bytes: Uint8Array, offset = 0): number | undefined {
    return this.#byPrefix.lookup(bytes, offset)
  }

  policyFor(bytes: Uint8Array, offset = 0): Policy | undefined {
    const index = this.indexOf(bytes, offset)
    return index === undefined ? undefined : this.policies[index]
  }
}

function compileLimits(source: Required<PolicySource>): Limit[] {
  const limits: Limit[] = []
  for (const [index, direction] of DIRECTIONS.entries()) {
    for (const metric of METRICS) {
      const rate = source[direction]?.[metric]
      if (rate === undefined || rate === null) continue
      const { slot, factor } = metricSlot(metric)
      const budget = (rate * (source.window ?? DEFAULT_WINDOW_MS)) / 1000 / factor
      limits.push({ direction, metric, rate, slot: index * DIRECTION_SLOTS + slot, factor, budget })
    }
  }
  return limits
}
