// SPDX-License-Identifier: Apache-2.0
import { ATTACK_VECTORS } from '@flowdam/proto'
import type { Ban } from '../bans/ban.js'
import { attackType } from './report.js'

/**
 * What tells an attack's packets from others to the same address, for filters: FlowSpec (RFC 8955), nftables. Empty
 * where nothing does: then only the address itself can be matched.
 */
export interface AttackMatch {
  /** IP protocol, or the last IPv6 next header. */
  protocol?: number
  source_port?: number
  /** TCP with SYN and without ACK. */
  tcp_flags?: 'syn'
  /** Alone: fragments of any protocol. Beside a port: fragments too, since only the first has the port. */
  fragments?: true
}

const ICMP = { 4: 1, 6: 58 } as const
const TCP = 6
const UDP = 17

/** By the type that the attack has when the hook runs. */
export function attackMatch(ban: Pick<Ban, 'attackType' | 'prefix' | 'rates' | 'direction'>): AttackMatch {
  const family = ban.prefix.includes(':') ? 6 : 4
  const exact = matchOf(ban.attackType, family)
  // carpet_bombing and pulse say how it comes, not what it is.
  return exact ?? matchOf(attackType(ban.rates[ban.direction]), family) ?? {}
}

function matchOf(type: string, family: 4 | 6): AttackMatch | undefined {
  const vector = ATTACK_VECTORS.find(({ name }) => type === `${name}_amplification`)
  if (vector) return { protocol: UDP, source_port: vector.port, fragments: true }
  switch (type) {
    case 'syn_flood':
      return { protocol: TCP, tcp_flags: 'syn' }
    case 'tcp_flood':
      return { protocol: TCP }
    case 'udp_flood':
      return { protocol: UDP }
    case 'icmp_flood':
      return { protocol: ICMP[family] }
    case 'ip_fragmentation':
      return { fragments: true }
    default:
      return undefined
  }
}

/** FLOWDAM_MATCH: `protocol 17 source-port 53 fragments`; empty where there is nothing. */
export function matchWords({ protocol, source_port, tcp_flags, fragments }: AttackMatch): string {
  return [
    ...(protocol === undefined ? [] : ['protocol', protocol]),
    ...(source_port === undefined ? [] : ['source-port', source_port]),
    ...(tcp_flags === undefined ? [] : ['tcp-flags', tcp_flags]),
    ...(fragments ? ['fragments'] : []),
  ].join(' ')
}
