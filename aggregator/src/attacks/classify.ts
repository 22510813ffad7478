// SPDX-License-Identifier: Apache-2.0
import type { AttackVectorName } from '@flowdam/proto'
import type { Direction, Metric } from '../detect/slots.js'
import type { Amount, TrafficMix } from '../detect/traffic.js'

/** What the packets of an attack are. */
export type AttackTraffic =
  | 'syn_flood'
  | 'tcp_flood'
  | 'udp_flood'
  | 'icmp_flood'
  | 'ip_fragmentation'
  | `${AttackVectorName}_amplification`
  | 'mixed_flood'

/** How it comes: as such, spread over many addresses, or in bursts. */
export type AttackType = AttackTraffic | 'carpet_bombing' | 'pulse'

/** Share of the traffic from which on a kind names it. Ordinary traffic flows on beside an attack. */
const DOMINANT = 0.6
/** A reflector's large answers come in fragments, and only the first of each has the port. */
const VECTOR_BESIDE_FRAGMENTS = 0.2

/** Judged in the unit of the metric that fired: a flood of bits may be few packets. */
export function classifyTraffic(mix: TrafficMix, direction: Direction, metric: Metric): AttackTraffic {
  const unit = metric.endsWith('bps') ? 'bytes' : 'packets'
  const share = (...amounts: Amount[]) =>
    mix[unit] > 0 ? amounts.reduce((sum, amount) => sum + amount[unit], 0) / mix[unit] : 0
  const { tcp, tcp_syn, tcp_other, udp, icmp } = mix.classes
  // Towards us: reflectors answer from their port. Away from us a well-known port is where somebody sends to.
  const [vector] = mix.vectors
  if (vector && direction === 'incoming' && share(vector) >= VECTOR_BESIDE_FRAGMENTS) {
    if (share(vector, mix.fragments) >= DOMINANT) return `${vector.name as AttackVectorName}_amplification`
  }
  if (share(mix.fragments) >= DOMINANT) return 'ip_fragmentation'
  if (share(tcp_syn) >= DOMINANT) return 'syn_flood'
  if (share(udp) >= DOMINANT) return 'udp_flood'
  if (share(icmp) >= DOMINANT) return 'icmp_flood'
  if (share(tcp, tcp_syn, tcp_other) >= DOMINANT) return 'tcp_flood'
  return 'mixed_flood'
}
