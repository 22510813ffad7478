// SPDX-License-Identifier: Apache-2.0
//
// bpf/layout.h in TypeScript: constants, offsets and where each block of the maps begins. test/bpf/layout.test.ts
// compares this with the object's BTF, so that the two cannot drift apart.

export const LAYOUT_VERSION = 1

export const MAX_IFACES = 128
/** What is seen on an interface that is not in control.ifaces is counted under this number. */
export const IFACE_UNKNOWN = 127
export const OVERFLOW_SLOTS = 4096
export const IFACE_BUCKETS = 512
export const IFACE_PROBES = 8

/** Bytes of struct ledger and offsets of its 64-bit fields, in order. */
export const LEDGER_SIZE = 128
export const LEDGER_FIELDS = [
  'seenPackets',
  'seenBytes',
  'flowPackets',
  'flowBytes',
  'overflowPackets',
  'overflowBytes',
  'notIpPackets',
  'notIpBytes',
  'malformedPackets',
  'malformedBytes',
  'droppedPackets',
  'droppedBytes',
] as const
export type LedgerField = (typeof LEDGER_FIELDS)[number]

/** struct part_state. */
export const PART_STATE_SIZE = 256
export const PartStateOffset = { flowsUsed: 0, overflowUsed: 4, reasons: 8 } as const

/** enum fd_reason, in order: metrics and docs use the same names. */
export const REASONS = [
  'ethernet_short',
  'vlan_short',
  'vlan_deep',
  'pppoe_short',
  'mpls_short',
  'mpls_deep',
  'ipv4_short',
  'ipv4_header',
  'ipv6_short',
  'ipv6_header',
  'ipv6_ext_short',
  'ipv6_ext_deep',
  'l4_short',
  'l4_header',
  'tunnel',
  'log_full',
  'index_full',
  'overflow_full',
  'stray_cpu',
] as const
export type Reason = (typeof REASONS)[number]
/** FD_REASON_COUNT: words in part_state.reasons, more than are in use. */
export const REASON_WORDS = 24

/** struct control and struct iface_entry. */
export const ControlOffset = { parity: 0, epochStartNs: 8, ifaces: 64 } as const
export const CONTROL_SIZE = ControlOffset.ifaces + IFACE_BUCKETS * 8
export const IfaceEntryOffset = { ifindex: 0, iface: 4, flags: 5 } as const
export const IFACE_ENTRY_SIZE = 8
export const IfaceFlag = { drop: 1, layer3: 2 } as const

/** struct settings. */
export const SETTINGS_SIZE = 64
export const HASH_KEYS = 10
export const SettingsOffset = {
  hashKeys: 0,
  layoutVersion: 40,
  nrCpus: 44,
  flowSlots: 48,
  indexBuckets: 52,
  dropRules: 56,
  innerKey: 60,
} as const

/** Direction of a part: the low bit of its number. */
export const PartDirection = { ingress: 0, egress: 1 } as const

/** How big the maps are; fixed when the object is loaded. */
export interface Geometry {
  /** CPUs with parts of their own: ids 0 to nrCpus - 1. */
  readonly nrCpus: number
  readonly flowSlots: number
  /** Buckets of eight in flow_index, a power of two. */
  readonly indexBuckets: number
  /** Parts with flows: one for each CPU and direction. */
  readonly flowParts: number
  /** The same and the stray pair: parts with ledger and overflow. */
  readonly nrParts: number
}

export function geometry(nrCpus: number, flowSlots: number): Geometry {
  let indexBuckets = 1
  while (indexBuckets < flowSlots / 4) indexBuckets *= 2
  return { nrCpus, flowSlots, indexBuckets, flowParts: nrCpus * 2, nrParts: (nrCpus + 1) * 2 }
}

/** Bytes of struct index_bucket. */
export const INDEX_BUCKET_SIZE = 64

/** max_entries of each map with blocks. */
export function mapEntries(g: Geometry) {
  return {
    flow_log: 2 * g.flowParts * g.flowSlots,
    flow_index: 2 * g.flowParts * g.indexBuckets,
    overflow_log: 2 * g.nrParts * OVERFLOW_SLOTS,
    part_states: 2 * g.nrParts,
    ledgers: 2 * g.nrParts * MAX_IFACES,
  } as const
}

/** Block number in flow_log and flow_index, where the stray pair has none. */
export const flowBlock = (g: Geometry, parity: number, part: number) => parity * g.flowParts + part
/** Block number in overflow_log, part_states and ledgers. */
export const partBlock = (g: Geometry, parity: number, part: number) => parity * g.nrParts + part
