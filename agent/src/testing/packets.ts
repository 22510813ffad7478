// SPDX-License-Identifier: Apache-2.0
import { parseAddress } from '@flowdam/common'
import fc from 'fast-check'
import type { FakePacket } from './fake-kernel.js'

const OURS = ['203.0.113.10', '203.0.113.11', '2001:db8:1::7'].map((text) => parseAddress(text))
const THEIRS = ['198.51.100.1', '192.0.2.9', '2001:db8:ffff::1'].map((text) => parseAddress(text))
/** Protected in tests. */
export const OUR_NETWORKS = ['203.0.113.0/24', '2001:db8:1::/48']

/** Packets of few flows, so that the same flow is met again and again. iface 0 is external, 1 internal. */
export const anyPacket: fc.Arbitrary<FakePacket> = fc.record({
  srcAddr: fc.constantFrom(...OURS, ...THEIRS),
  dstAddr: fc.constantFrom(...OURS, ...THEIRS),
  srcPort: fc.constantFrom(53, 40_000),
  dstPort: fc.constantFrom(80, 123),
  protocol: fc.constantFrom(1, 6, 17, 47),
  iface: fc.constantFrom(0, 0, 0, 1),
  vlan: fc.constantFrom(0, 7),
  bytes: fc.integer({ min: 20, max: 1500 }),
  tcpFlags: fc.constantFrom(0, 2, 16, 18),
  marks: fc.constantFrom(0, 0, 0, 1, 2),
})

export function packet(changes: Partial<FakePacket> = {}): FakePacket {
  return {
    srcAddr: THEIRS[0] as Uint8Array,
    dstAddr: OURS[0] as Uint8Array,
    srcPort: 1234,
    dstPort: 80,
    protocol: 6,
    iface: 0,
    vlan: 0,
    bytes: 100,
    tcpFlags: 16,
    marks: 0,
    ...changes,
  }
}
