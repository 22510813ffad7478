// SPDX-License-Identifier: Apache-2.0
import { isIpv4, maskAddress, type Prefix, PrefixMap } from '@flowdam/common'
import { type BaselineSource, type Channel, Channels, inheritBaseline, isAbout } from './baseline/rule.js'
import { compileLimits, type DirectionSource, type Limits } from './limits.js'
import { DIRECTIONS, METRICS, SlotLayout, vectorOfMetric } from './slots.js'

export interface PolicySource extends DirectionSource {
  /** Milliseconds. */
  window?: number | undefined
  /** For all addresses of a prefix together, by length: `ipv4/24`, `ipv6/48`. */
  carpet?: Readonly<Record<string, DirectionSource>> | undefined
  /** For all addresses of the hostgroup, or of all networks, together. */
  total?: TotalSource | undefined
  /** Thresholds that are learned; null turns inherited ones off. */
  baseline?: BaselineSource | null | undefined
}

export interface TotalSource extends DirectionSource {
  baseline?: BaselineSource | null | undefined
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

/** What holds for the addresses of one prefix. */
export interface Policy extends Limits {
  prefix: Prefix
  /** Empty where no hostgroup matches. */
  hostgroup: string
  /** Index into PolicySet.groups, -1 where no hostgroup matches. */
  group: number
  /** The limits' slots again for the hot path. */
  slots: Int32Array
}

/** A length at which all addresses of a prefix are counted together. */
export interface CarpetLevel {
  ipv4: boolean
  /** On 128 bits. */
  length: number
}

/** What holds for many addresses together. */
export interface AggregatePolicy extends Limits {
  hostgroup: string
}

export const DEFAULT_WINDOW_MS = 1000

/** Thresholds of every protected prefix, inherited total → hostgroup → narrower hostgroup by longest match. */
export class PolicySet {
  readonly policies: readonly Policy[]
  /** Distinct window lengths, shortest first. */
  readonly windowsMs: readonly number[]
  /** Hostgroup names by group index. */
  readonly groups: readonly string[]
  readonly layout: SlotLayout
  /** What is learned of any address, hostgroup or total. */
  readonly channels: readonly Channel[]
  /** Lengths that some threshold is about, longest first. */
  readonly levels: readonly CarpetLevel[]
  /** Thresholds of hostgroups in total by group index; undefined without any. */
  readonly groupTotals: readonly (AggregatePolicy | undefined)[]
  /** Thresholds of everything protected together. */
  readonly total: AggregatePolicy | undefined
  readonly #byPrefix: PrefixMap<number>
  /** By level: what holds for a prefix of this length, by the longest match that is not longer. */
  readonly #byLevel: readonly PrefixMap<AggregatePolicy>[]

  constructor(source: DetectionSource) {
    const named = new Map<string, { prefix: Prefix; group: number; own: PolicySource }>()
    for (const prefix of source.networks) named.set(prefix.text, { prefix, group: -1, own: {} })
    for (const [group, hostgroup] of source.hostgroups.entries()) {
      for (const prefix of hostgroup.prefixes) named.set(prefix.text, { prefix, group, own: hostgroup })
    }
    // Widest first: when a prefix comes, the one it inherits from is already there.
    const ordered = [...named.values()].sort((a, b) => a.prefix.length - b.prefix.length)
    const parents = new PrefixMap<{ effective: Effective; group: number }>()
    const drafts = ordered.map(({ prefix, group, own }) => {
      const parent = parents.lookup(prefix.bytes)
      const from = parent?.effective ?? source.thresholds
      const effective: Effective = {
        ...inherit(from, own),
        window: own.window ?? from.window ?? DEFAULT_WINDOW_MS,
        carpet: inheritCarpet(from.carpet, own.carpet),
        baseline: inheritBaseline(from.baseline, own.baseline),
      }
      const inherited = group < 0 ? (parent?.group ?? -1) : group
      parents.set(prefix, { effective, group: inherited })
      return { prefix, group: inherited, effective }
    })
    const totalWindow = source.thresholds.window ?? DEFAULT_WINDOW_MS
    const windows = new Set(drafts.map((draft) => draft.effective.window))
    if (source.thresholds.total) windows.add(totalWindow)
    for (const { total, window } of source.hostgroups) if (total) windows.add(window ?? totalWindow)
    this.windowsMs = [...windows].sort((a, b) => a - b)
    this.groups = source.hostgroups.map((hostgroup) => hostgroup.name)
    this.layout = new SlotLayout(vectorsOf(source))
    const channels = new Channels()
    this.channels = channels.list
    const compile = (own: DirectionSource, baseline: BaselineSource | null | undefined, windowMs: number) =>
      compileLimits(own, baseline, windowMs, this.windowsMs.indexOf(windowMs), this.layout, channels)
    this.policies = drafts.map(({ prefix, group, effective }) => {
      const compiled = compile(effective, effective.baseline, effective.window)
      const slots = Int32Array.from(compiled.limits, (limit) => limit.slot)
      return { prefix, hostgroup: this.groups[group] ?? '', group, slots, ...compiled }
    })
    this.#byPrefix = new PrefixMap(this.policies.map((policy, index) => [policy.prefix, index] as const))
    const aggregate = (
      own: TotalSource | undefined,
      windowMs: number,
      hostgroup: string,
    ): AggregatePolicy | undefined => {
      const compiled = compile(own ?? {}, own?.baseline, windowMs)
      return compiled.limits.length === 0 ? undefined : { hostgroup, ...compiled }
    }
    const nothing = { hostgroup: '', ...compile({}, undefined, DEFAULT_WINDOW_MS) }
    this.total = aggregate(source.thresholds.total, totalWindow, '')
    this.groupTotals = source.hostgroups.map(({ name, total, window }) =>
      aggregate(total, window ?? totalWindow, name),
    )
    const keys = new Set(drafts.flatMap(({ effective }) => Object.keys(effective.carpet)))
    const levels = [...keys]
      .map((key) => ({ key, level: parseLevel(key) }))
      .sort((a, b) => b.level.length - a.level.length)
    this.levels = levels.map(({ level }) => level)
    this.#byLevel = levels.map(({ key, level }) => {
      const map = new PrefixMap<AggregatePolicy>()
      for (const { prefix, group, effective } of drafts) {
        if (prefix.length > level.length || isIpv4(prefix.bytes) !== level.ipv4) continue
        const policy = aggregate(effective.carpet[key], effective.window, this.groups[group] ?? '')
        // One without limits hides a wider prefix's, as `off` asks for.
        map.set(prefix, policy ?? nothing)
      }
      return map
    })
  }

  /** Index of the policy for the address at offset; undefined outside all networks. */
  indexOf(bytes: Uint8Array, offset = 0): number | undefined {
    return this.#byPrefix.lookup(bytes, offset)
  }

  policyFor(bytes: Uint8Array, offset = 0): Policy | undefined {
    const index = this.indexOf(bytes, offset)
    return index === undefined ? undefined : this.policies[index]
  }

  /** What holds for all addresses of the address's prefix at this level (index into `levels`) together. */
  carpetPolicy(level: number, address: Uint8Array): AggregatePolicy | undefined {
    const policy = this.#byLevel[level]?.lookup(maskAddress(address, this.levels[level]?.length ?? 0))
    return policy && policy.limits.length > 0 ? policy : undefined
  }

  /** Whether anything but single addresses has thresholds. */
  get hasAggregates(): boolean {
    return this.levels.length > 0 || this.total !== undefined || this.groupTotals.some((policy) => policy)
  }
}

interface Effective extends DirectionSource {
  baseline: BaselineSource | null | undefined
  window: number
  carpet: Readonly<Record<string, DirectionSource>>
}

function inherit(from: DirectionSource, own: DirectionSource): DirectionSource {
  return { incoming: { ...from.incoming, ...own.incoming }, outgoing: { ...from.outgoing, ...own.outgoing } }
}

function inheritCarpet(
  from: PolicySource['carpet'] = {},
  own: PolicySource['carpet'] = {},
): Record<string, DirectionSource> {
  const keys = new Set([...Object.keys(from), ...Object.keys(own)])
  return Object.fromEntries([...keys].map((key) => [key, inherit(from[key] ?? {}, own[key] ?? {})]))
}

/** `ipv4/24`; the schema has checked it. */
export function parseLevel(key: string): CarpetLevel {
  const [family, length] = key.split('/')
  const ipv4 = family === 'ipv4'
  return { ipv4, length: Number(length) + (ipv4 ? 96 : 0) }
}

/** Vectors that any threshold names. */
function vectorsOf(source: DetectionSource): number[] {
  const sources = [source.thresholds, ...source.hostgroups].flatMap(
    ({ carpet, total, ...own }): TotalSource[] => [
      own,
      ...Object.values(carpet ?? {}),
      ...(total ? [total] : []),
    ],
  )
  const named = (of: TotalSource) =>
    DIRECTIONS.flatMap((direction) =>
      METRICS.filter(
        (metric) =>
          typeof of[direction]?.[metric] === 'number' ||
          (of.baseline && isAbout(of.baseline, direction) && typeof of.baseline.floor?.[metric] === 'number'),
      ),
    )
  return sources.flatMap((own) => named(own).flatMap((metric) => vectorOfMetric(metric) ?? []))
}
