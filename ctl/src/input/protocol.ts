// SPDX-License-Identifier: Apache-2.0
import { usageError } from '../command-error.js'

/** Names as in the IANA registry of protocol numbers, in lower case; the ones an edge sees. */
const NAMES: ReadonlyMap<string, number> = new Map([
  ['icmp', 1],
  ['igmp', 2],
  ['ipip', 4],
  ['tcp', 6],
  ['egp', 8],
  ['udp', 17],
  ['dccp', 33],
  ['6in4', 41],
  ['rsvp', 46],
  ['gre', 47],
  ['esp', 50],
  ['ah', 51],
  ['icmpv6', 58],
  ['eigrp', 88],
  ['ospf', 89],
  ['pim', 103],
  ['vrrp', 112],
  ['l2tp', 115],
  ['sctp', 132],
  ['udplite', 136],
])

const NUMBERS: ReadonlyMap<number, string> = new Map([...NAMES].map(([name, number]) => [number, name]))

export const PROTOCOL_NAMES: readonly string[] = [...NAMES.keys()]

export function protocolName(number: number): string {
  return NUMBERS.get(number) ?? String(number)
}

/** `udp` or `17`. 0 stands for any protocol in the API and cannot be asked for. */
export function parseProtocol(text: string): number {
  const named = NAMES.get(text.toLowerCase())
  if (named !== undefined) return named
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (number < 1 || number > 255) {
    throw usageError(
      `'${text}' is no protocol; write a number from 1 to 255 or one of ${PROTOCOL_NAMES.join(', ')}`,
    )
  }
  return number
}
