// SPDX-License-Identifier: Apache-2.0
//
// What an attack's flow records tell. Plain data: it goes into the store, the API and hooks as it is.
import type { Amount } from '../../detect/traffic.js'
import type { SpoofSigns } from './source-sample.js'

export interface NamedAmount extends Amount {
  name: string
}

/** Where an attack comes from (an outgoing one: where it goes), largest first. */
export interface AttackSources {
  addresses: NamedAmount[]
  /** /24 and /48. */
  prefixes: NamedAmount[]
  ports: NamedAmount[]
  /** Different addresses; about. */
  distinct: number
}

export interface SizeCount {
  /** Mean bytes of a flow's packets up to this; 0 for all above. */
  upTo: number
  packets: number
}

export interface SampleFlow {
  timeUnixMs: number
  durationMs: number
  srcAddr: string
  dstAddr: string
  srcPort: number
  dstPort: number
  protocol: number
  packets: number
  bytes: number
  tcpFlags: number
  ttl: number
  marks: number
}

export interface AttackDetail {
  /** Flow records of the target that came while it lasted, and what they add up to. */
  flows: number
  packets: number
  bytes: number
  /** Came without flows, as sums by address: the agent's flow table was full. The rest of this knows nothing of them. */
  missingPackets: number
  missingBytes: number
  sources: AttackSources
  /** The ports at the target: destination ports of an incoming attack. */
  targetPorts: NamedAmount[]
  protocols: NamedAmount[]
  /** Bytes of a packet, by the mean of each flow. */
  sizes: { min: number; max: number; counts: SizeCount[] }
  /** Flags seen in TCP flows, as `SYN|ACK`. */
  tcpFlags: NamedAmount[]
  ttl: { min: number; max: number; distinct: number; common: NamedAmount[] }
  /** Undefined for an outgoing attack: its source is the target. */
  spoofing?: SpoofSigns
  sample: SampleFlow[]
}

export const TOP = 10

/**
 * What a former process found, and what this one did. Lists are added by name; what fell off their ends is lost. The
 * sources of both may be the same, so `distinct` is the larger.
 */
export function mergeDetails(a: AttackDetail, b: AttackDetail): AttackDetail {
  if (b.flows === 0 && b.missingPackets === 0) return a
  if (a.flows === 0 && a.missingPackets === 0) return b
  const larger = a.sources.distinct > b.sources.distinct ? a : b
  return {
    flows: a.flows + b.flows,
    packets: a.packets + b.packets,
    bytes: a.bytes + b.bytes,
    missingPackets: a.missingPackets + b.missingPackets,
    missingBytes: a.missingBytes + b.missingBytes,
    sources: {
      addresses: addLists(a.sources.addresses, b.sources.addresses),
      prefixes: addLists(a.sources.prefixes, b.sources.prefixes),
      ports: addLists(a.sources.ports, b.sources.ports),
      distinct: larger.sources.distinct,
    },
    targetPorts: addLists(a.targetPorts, b.targetPorts),
    protocols: addLists(a.protocols, b.protocols),
    sizes: {
      min: Math.min(a.sizes.min, b.sizes.min),
      max: Math.max(a.sizes.max, b.sizes.max),
      counts: b.sizes.counts.map(({ upTo, packets }) => ({
        upTo,
        packets: packets + (a.sizes.counts.find((count) => count.upTo === upTo)?.packets ?? 0),
      })),
    },
    tcpFlags: addLists(a.tcpFlags, b.tcpFlags),
    ttl: {
      min: Math.min(a.ttl.min, b.ttl.min),
      max: Math.max(a.ttl.max, b.ttl.max),
      distinct: Math.max(a.ttl.distinct, b.ttl.distinct),
      common: addLists(a.ttl.common, b.ttl.common),
    },
    ...(larger.spoofing ? { spoofing: larger.spoofing } : {}),
    sample: [...b.sample, ...a.sample].slice(0, TOP),
  }
}

function addLists(a: readonly NamedAmount[], b: readonly NamedAmount[]): NamedAmount[] {
  const sums = new Map<string, NamedAmount>()
  for (const { name, packets, bytes } of [...a, ...b]) {
    const known = sums.get(name)
    if (known) {
      known.packets += packets
      known.bytes += bytes
    } else sums.set(name, { name, packets, bytes })
  }
  return [...sums.values()].sort((x, y) => y.packets - x.packets).slice(0, TOP)
}
