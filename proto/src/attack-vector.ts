// SPDX-License-Identifier: Apache-2.0

/**
 * Services that reflect and amplify, by the UDP port that the reflected packets come from. `number` is the `vector`
 * byte of a host delta entry: never give a number a second meaning. Ports: US-CERT alert TA14-017A and what has been
 * seen since.
 */
export const ATTACK_VECTORS = [
  { number: 1, name: 'dns', port: 53 },
  { number: 2, name: 'ntp', port: 123 },
  { number: 3, name: 'ssdp', port: 1900 },
  { number: 4, name: 'cldap', port: 389 },
  { number: 5, name: 'memcached', port: 11211 },
  { number: 6, name: 'chargen', port: 19 },
  { number: 7, name: 'snmp', port: 161 },
  { number: 8, name: 'qotd', port: 17 },
  { number: 9, name: 'tftp', port: 69 },
  { number: 10, name: 'portmap', port: 111 },
  { number: 11, name: 'netbios', port: 137 },
  { number: 12, name: 'rip', port: 520 },
  { number: 13, name: 'mssql', port: 1434 },
  { number: 14, name: 'ws_discovery', port: 3702 },
  { number: 15, name: 'mdns', port: 5353 },
  { number: 16, name: 'coap', port: 5683 },
  { number: 17, name: 'arms', port: 3283 },
  { number: 18, name: 'ipmi', port: 623 },
  { number: 19, name: 'sip', port: 5060 },
  { number: 20, name: 'ubiquiti', port: 10001 },
  { number: 21, name: 'dhcp_discover', port: 37810 },
  { number: 22, name: 'steam', port: 27015 },
  { number: 23, name: 'openvpn', port: 1194 },
  { number: 24, name: 'stun', port: 3478 },
  { number: 25, name: 'l2tp', port: 1701 },
  { number: 26, name: 'quic', port: 443 },
] as const

export type AttackVectorName = (typeof ATTACK_VECTORS)[number]['name']

/** Port → vector number, 0 for none. */
export const vectorOfPort: Uint8Array = new Uint8Array(65_536)
for (const { number, port } of ATTACK_VECTORS) vectorOfPort[port] = number

const NAMES = new Map<number, AttackVectorName>(ATTACK_VECTORS.map(({ number, name }) => [number, name]))

/** The name for people; undefined for 0 and for numbers that this version does not know. */
export function vectorName(number: number): AttackVectorName | undefined {
  return NAMES.get(number)
}
