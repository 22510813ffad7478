// SPDX-License-Identifier: Apache-2.0
//
// What is summed for each address, and the names that thresholds, the API and hooks use for it.
import { ATTACK_VECTORS, type AttackVectorName, DeltaClass } from '@flowdam/proto'

export const DIRECTIONS = ['incoming', 'outgoing'] as const
export type Direction = (typeof DIRECTIONS)[number]

/** Kinds of packets with sums of their own. `tcp` holds `syn`; `fragment` and `dropped` cut across the others. */
export const KINDS = ['all', 'tcp', 'syn', 'udp', 'icmp', 'fragment', 'dropped'] as const
export type Kind = (typeof KINDS)[number]

/**
 * Slots of one direction: packets and bytes of each kind, and flows. 16 × 8 bytes are two cache lines; what most
 * entries touch is in the first, because a million addresses live outside the caches.
 */
export const DIRECTION_SLOTS = 16
/** Slots of one address: incoming, then outgoing; those of attack vectors follow (SlotLayout). */
export const ROW_SLOTS = DIRECTION_SLOTS * 2

/** Slot of each kind's packets; its bytes are in the next one. Slot 7 is free. */
const KIND_SLOT: Record<Kind, number> = {
  all: 0,
  tcp: 3,
  udp: 5,
  syn: 8,
  icmp: 10,
  fragment: 12,
  dropped: 14,
}
export const FLOWS_SLOT = 2

export function packetsSlot(kind: Kind): number {
  return KIND_SLOT[kind]
}

export function bytesSlot(kind: Kind): number {
  return KIND_SLOT[kind] + 1
}

const KIND_METRICS = [
  'pps',
  'bps',
  'flows',
  'tcp_pps',
  'tcp_bps',
  'syn_pps',
  'syn_bps',
  'udp_pps',
  'udp_bps',
  'icmp_pps',
  'icmp_bps',
  'fragment_pps',
  'fragment_bps',
  'dropped_pps',
  'dropped_bps',
] as const
type KindMetric = (typeof KIND_METRICS)[number]
type VectorMetric = `${AttackVectorName}_${'pps' | 'bps'}`
export type Metric = KindMetric | VectorMetric

/** By the name of the metric's first half: `dns` of `dns_pps`. */
const VECTOR_NUMBERS = new Map<string, number>(ATTACK_VECTORS.map(({ name, number }) => [name, number]))

export const METRICS: readonly Metric[] = [
  ...KIND_METRICS,
  ...ATTACK_VECTORS.flatMap(({ name }): VectorMetric[] => [`${name}_pps`, `${name}_bps`]),
]

/** The attack vector that a metric counts; undefined for `pps`, `syn_bps` and the like. */
export function vectorOfMetric(metric: Metric): number | undefined {
  return VECTOR_NUMBERS.get(metric.slice(0, metric.lastIndexOf('_')))
}

/**
 * Where the sums of a row are: ROW_SLOTS of them always, and four more for each attack vector that a threshold names
 * (incoming packets and bytes, outgoing packets and bytes). Counting all 26 for each address would triple its memory.
 */
export class SlotLayout {
  /** Sums in a row. */
  readonly slots: number
  /** First slot by vector number; 0 for a vector that no threshold names. */
  readonly vectorSlots = new Uint16Array(256)

  constructor(vectors: Iterable<number> = []) {
    let next = ROW_SLOTS
    for (const vector of [...new Set(vectors)].sort((a, b) => a - b)) {
      this.vectorSlots[vector] = next
      next += 4
    }
    this.slots = next
  }

  /** Where a metric's sum is, and what turns the sum's unit (packets, bytes, flows) into the metric's. */
  place(direction: Direction, metric: Metric): { slot: number; factor: number } {
    const side = DIRECTIONS.indexOf(direction)
    const bits = metric.endsWith('bps')
    const vector = vectorOfMetric(metric)
    if (vector !== undefined) {
      const first = this.vectorSlots[vector] as number
      return { slot: first + side * 2 + (bits ? 1 : 0), factor: bits ? 8 : 1 }
    }
    const base = side * DIRECTION_SLOTS
    if (metric === 'flows') return { slot: base + FLOWS_SLOT, factor: 1 }
    const cut = metric.lastIndexOf('_')
    const kind = (cut < 0 ? 'all' : metric.slice(0, cut)) as Kind
    return bits ? { slot: base + bytesSlot(kind), factor: 8 } : { slot: base + packetsSlot(kind), factor: 1 }
  }
}

const MARK_FRAGMENT = 1
const MARK_DROPPED = 2

/**
 * Adds one delta entry to the slots from `base` on (negative amounts take it away again). The slot numbers are
 * written out: this runs for each entry twice and for each window.
 */
export function addToSlots(
  sums: Float64Array,
  base: number,
  deltaClass: number,
  marks: number,
  packets: number,
  bytes: number,
  flows: number,
): void {
  sums[base] = (sums[base] as number) + packets
  sums[base + 1] = (sums[base + 1] as number) + bytes
  sums[base + FLOWS_SLOT] = (sums[base + FLOWS_SLOT] as number) + flows
  if (deltaClass === DeltaClass.udp) {
    sums[base + 5] = (sums[base + 5] as number) + packets
    sums[base + 6] = (sums[base + 6] as number) + bytes
  } else if (deltaClass === DeltaClass.icmp) {
    sums[base + 10] = (sums[base + 10] as number) + packets
    sums[base + 11] = (sums[base + 11] as number) + bytes
  } else if (deltaClass !== DeltaClass.other) {
    sums[base + 3] = (sums[base + 3] as number) + packets
    sums[base + 4] = (sums[base + 4] as number) + bytes
    if (deltaClass === DeltaClass.tcpSyn) {
      sums[base + 8] = (sums[base + 8] as number) + packets
      sums[base + 9] = (sums[base + 9] as number) + bytes
    }
  }
  if (marks & MARK_FRAGMENT) {
    sums[base + 12] = (sums[base + 12] as number) + packets
    sums[base + 13] = (sums[base + 13] as number) + bytes
  }
  if (marks & MARK_DROPPED) {
    sums[base + 14] = (sums[base + 14] as number) + packets
    sums[base + 15] = (sums[base + 15] as number) + bytes
  }
}
