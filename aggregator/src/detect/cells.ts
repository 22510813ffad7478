// SPDX-License-Identifier: Apache-2.0
import { formatPrefix, isIpv4, maskAddress, type Prefix } from '@flowdam/common'
import type { AggregatePolicy, PolicySet } from './policies.js'

/** Many addresses that are counted together: a prefix, a hostgroup, or everything protected. */
export interface Aggregate {
  readonly scope: 'prefix' | 'hostgroup' | 'total'
  /** The prefix, the hostgroup's name, or "total". */
  readonly name: string
  readonly prefix: Prefix | undefined
  readonly policy: AggregatePolicy
  /** What it is made of. */
  readonly cells: Set<number>
  /** When it last fired and was last looked at closely, incoming and outgoing, by the detector's clock. */
  readonly lastFired: [number, number]
  readonly lastLook: [number, number]
}

const DEFAULT_MAX = 65_536

/**
 * Where addresses count together. A cell is the smallest such place: the addresses of one hostgroup in one prefix of
 * the longest length that any threshold is about. Each address is in exactly one cell, so that an entry is added to one
 * cell however many lengths, hostgroups and totals there are; aggregates are sums of cells. The first cells are one for
 * each hostgroup and one for addresses without, and take what has no prefix of its own; they live for ever, the others
 * while an address needs them.
 */
export class Cells {
  readonly #policies: PolicySet
  readonly #max: number
  /** Cells from here on were never in use. */
  highWater: number
  /** Cells that windows have room for. */
  room: number
  /** Addresses that got no cell of their own prefix. */
  refused = 0
  readonly #byKey = new Map<string, number>()
  readonly #keys: string[] = []
  readonly #addresses: number[] = []
  readonly #memberOf: Aggregate[][] = []
  readonly #free: number[] = []
  readonly #prefixes = new Map<string, Aggregate>()
  readonly #groups: (Aggregate | undefined)[]
  readonly #total: Aggregate | undefined

  constructor(policies: PolicySet, max = DEFAULT_MAX) {
    this.#policies = policies
    this.#max = max
    this.#groups = policies.groupTotals.map(
      (policy, index) => policy && newAggregate('hostgroup', policies.groups[index] ?? '', undefined, policy),
    )
    this.#total = policies.total && newAggregate('total', 'total', undefined, policies.total)
    this.highWater = policies.groups.length + 1
    this.room = this.highWater
    for (let cell = 0; cell < this.highWater; cell++) this.#found(cell, '', cell, [])
  }

  /** Everything that has thresholds and may have traffic. */
  *aggregates(): IterableIterator<Aggregate> {
    yield* this.#prefixes.values()
    for (const group of this.#groups) if (group) yield group
    if (this.#total) yield this.#total
  }

  /** The aggregates that a cell is part of, narrowest first. */
  aggregatesOf(cell: number): readonly Aggregate[] {
    return this.#memberOf[cell] ?? []
  }

  /** The cells of a hostgroup by its index; of addresses without one for -1. */
  *cellsOfGroup(group: number): IterableIterator<number> {
    const first = this.#firstCell(group)
    yield first
    for (const [key, cell] of this.#byKey) if (key.startsWith(`${first} `)) yield cell
  }

  /** All cells in use. */
  *all(): IterableIterator<number> {
    for (let cell = 0; cell <= this.#policies.groups.length; cell++) yield cell
    yield* this.#byKey.values()
  }

  /** The cell of an address that begins to count; to be given back when it ends. */
  take(address: Uint8Array, group: number): number {
    const first = this.#firstCell(group)
    const { levels } = this.#policies
    if (levels.length === 0) return first
    const ipv4 = isIpv4(address)
    const finest = levels.find((level) => level.ipv4 === ipv4)
    if (!finest) return first
    const key = `${first} ${keyOf(maskAddress(address, finest.length))}`
    const known = this.#byKey.get(key)
    if (known !== undefined) {
      this.#addresses[known] = (this.#addresses[known] as number) + 1
      return known
    }
    const prefixes = this.#prefixesOf(address, ipv4)
    if (prefixes.length === 0) return first
    if (this.#byKey.size >= this.#max) {
      this.refused++
      return first
    }
    const cell = this.#free.pop() ?? this.highWater++
    this.#byKey.set(key, cell)
    this.#found(cell, key, first, prefixes)
    return cell
  }

  giveBack(cell: number): void {
    if (cell <= this.#policies.groups.length) return
    const left = (this.#addresses[cell] as number) - 1
    this.#addresses[cell] = left
    if (left > 0) return
    this.#byKey.delete(this.#keys[cell] as string)
    for (const aggregate of this.#memberOf[cell] as Aggregate[]) {
      aggregate.cells.delete(cell)
      if (aggregate.scope === 'prefix' && aggregate.cells.size === 0) this.#prefixes.delete(aggregate.name)
    }
    this.#memberOf[cell] = []
    this.#free.push(cell)
  }

  #firstCell(group: number): number {
    return group < 0 ? this.#policies.groups.length : group
  }

  #found(cell: number, key: string, first: number, prefixes: Aggregate[]): void {
    const group = this.#groups[first]
    const members = [...prefixes, ...(group ? [group] : []), ...(this.#total ? [this.#total] : [])]
    this.#keys[cell] = key
    this.#addresses[cell] = 1
    this.#memberOf[cell] = members
    for (const aggregate of members) aggregate.cells.add(cell)
  }

  /** The prefixes around the address that have thresholds, longest first. */
  #prefixesOf(address: Uint8Array, ipv4: boolean): Aggregate[] {
    const found: Aggregate[] = []
    for (const [index, level] of this.#policies.levels.entries()) {
      if (level.ipv4 !== ipv4) continue
      const policy = this.#policies.carpetPolicy(index, address)
      if (!policy) continue
      const bytes = maskAddress(address, level.length)
      const text = formatPrefix(bytes, level.length)
      let aggregate = this.#prefixes.get(text)
      if (!aggregate) {
        aggregate = newAggregate('prefix', text, { bytes, length: level.length, text }, policy)
        this.#prefixes.set(text, aggregate)
      }
      found.push(aggregate)
    }
    return found
  }
}

function newAggregate(
  scope: Aggregate['scope'],
  name: string,
  prefix: Prefix | undefined,
  policy: AggregatePolicy,
): Aggregate {
  return { scope, name, prefix, policy, cells: new Set(), lastFired: [0, 0], lastLook: [0, 0] }
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
