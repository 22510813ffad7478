// SPDX-License-Identifier: Apache-2.0
//
// What is summed for each address, and the names that thresholds, the API and hooks use for it.
import { DeltaClass } from '@flowdam/proto'

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
/** Slots of one address: incoming, then outgoing. */
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

export const METRICS = [
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
export type Metric = (typeof METRICS)[number]

/** Where a metric's sum is, and what turns the sum's unit (packets, bytes, flows) into the metric's. */
export function metricSlot(metric: Metric): { slot: number; factor: number } {
  if (metric === 'flows') return { slot: FLOWS_SLOT, factor: 1 }
  const cut = metric.lastIndexOf('_')
  const kind = (cut < 0 ? 'all' : metric.slice(0, cut)) as Kind
  return metric.endsWith('bps')
    ? { slot: bytesSlot(kind), factor: 8 }
    : { slot: packetsSlot(kind), factor: 1 }
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
