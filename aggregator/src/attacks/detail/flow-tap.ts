// SPDX-License-Identifier: Apache-2.0
import type { Prefix } from '@flowdam/common'
import type { FlowBatch } from '@flowdam/proto'
import type { BatchOrigin, BatchSink } from '../../contracts.js'
import type { SourceRegistry } from '../../sources/registry.js'
import { BatchTap } from '../../spool/batch-tap.js'
import type { Attack } from '../attack.js'
import { Attacked } from './attacked.js'
import { type AttackDetail, mergeDetails } from './detail.js'
import { Evidence } from './evidence.js'

/** Attacks at a time whose flows are looked at: 170 KB each. What comes beyond has no detail. */
const MOST_DETAILED = 128
/** Flows that ended so long before the detection are of another time; an agent's clock is known to some milliseconds. */
const BEFORE_MS = 1000

/**
 * Looks at flow batches on their way to the spool while there are attacks. Measured (scripts/bench/attack-detail.ts):
 * nothing without an attack, 10 ns a record that is of none, 0.33 µs one that is, 0.09 µs when there are too many to look
 * at all of them closely (effort.ts). An agent sends 50 000 a second unless told otherwise.
 */
export class FlowTap extends BatchTap {
  readonly #sources: SourceRegistry
  readonly #prefixesOf: (attack: Attack) => readonly Prefix[]
  readonly #attacked = new Attacked()
  readonly #evidence = new Map<string, { evidence: Evidence; before: AttackDetail | undefined }>()
  readonly #external = new Uint8Array(256)

  /** `prefixesOf`: the addresses that an attack is about. */
  constructor(
    batches: BatchSink,
    sources: SourceRegistry,
    prefixesOf: (attack: Attack) => readonly Prefix[],
  ) {
    super(batches)
    this.#sources = sources
    this.#prefixesOf = prefixesOf
  }

  protected get looks(): boolean {
    return this.#attacked.size > 0
  }

  protected look(origin: BatchOrigin, batch: FlowBatch): void {
    for (let iface = 0; iface < 256; iface++) {
      const number = origin.sourceOfIface[iface] as number
      // What no interface table named yet counts as external, as in learnIface.
      this.#external[iface] = this.#sources.get(number)?.boundary === 'internal' ? 0 : 1
    }
    this.#attacked.scan(batch.records, this.#external, batch.epochStartUnixMs - origin.clockSkewMs)
  }

  /** From now on the flows of this attack are looked at. */
  follow(attack: Attack): void {
    if (this.#evidence.size >= MOST_DETAILED) return
    const prefixes = this.#prefixesOf(attack)
    if (prefixes.length === 0) return
    const evidence = new Evidence(attack.direction, attack.startedUnixMs - BEFORE_MS)
    this.#evidence.set(attack.id, { evidence, before: attack.detail })
    this.#attacked.add(attack.id, prefixes, attack.direction, evidence)
  }

  /** What the flows of an attack tell so far; undefined when none came, or nobody looks. */
  detail(attack: Attack): AttackDetail | undefined {
    const known = this.#evidence.get(attack.id)
    if (!known) return attack.detail
    const found = known.evidence.snapshot()
    const all = known.before ? mergeDetails(known.before, found) : found
    return all.flows > 0 || all.missingPackets > 0 ? all : undefined
  }

  forget(attack: Attack): void {
    this.#evidence.delete(attack.id)
    this.#attacked.remove(attack.id)
  }
}
