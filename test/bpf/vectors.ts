// SPDX-License-Identifier: Apache-2.0
//
// Packets in words, and what the programs must make of them. vectors.test.ts runs them through the kernel, in all
// programs; law.test.ts takes them as seeds.
import type { Reason } from '@flowdam/agent'
import { Mark } from '@flowdam/proto'
import {
  authentication,
  bytes,
  destinationOptions,
  ethernet,
  fragment,
  gre,
  hopByHop,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  mobility,
  mpls,
  packet,
  padded,
  payload,
  pppoe,
  routing,
  sctp,
  tcp,
  udp,
  vlan,
  vxlan,
} from './packet.js'

/** What is not named is the table's ordinary value: see ordinary. */
export interface ExpectedRecord {
  src?: string
  dst?: string
  srcPort?: number
  dstPort?: number
  protocol: number
  vlan?: number
  bytes: number
  tcpFlags?: number
  dscp?: number
  ttl?: number
  marks?: number
}

export type Vector = { title: string; packet: Buffer } & (
  | { verdict: 'flow'; record: ExpectedRecord; inner?: ExpectedRecord | 'malformed' }
  | { verdict: 'not_ip' }
  | { verdict: 'malformed'; reason: Reason }
)

const V4 = { src: '192.0.2.1', dst: '203.0.113.5' }
const V6 = { src: '2001:db8::1', dst: '2001:db8:5::5' }
const PORTS = { srcPort: 40000, dstPort: 53 }
const TCP_PORTS = { srcPort: 40000, dstPort: 443 }

/** A UDP datagram of 100 bytes: 128 bytes of IPv4, 148 of IPv6. */
const UDP_100 = [udp(), payload(100)]
const UDP4: ExpectedRecord = { ...V4, ...PORTS, protocol: 17, bytes: 128 }
const UDP6: ExpectedRecord = { ...V6, ...PORTS, protocol: 17, bytes: 148 }

const INNER_V4 = { src: '10.1.0.1', dst: '10.2.0.2' }
const INNER_V6 = { src: 'fd00::1', dst: 'fd00::2' }

function flow(title: string, frame: Buffer, record: ExpectedRecord): Vector {
  return { title, packet: frame, verdict: 'flow', record }
}

function tunnel(
  title: string,
  frame: Buffer,
  record: ExpectedRecord,
  inner: ExpectedRecord | 'malformed',
): Vector {
  return { title, packet: frame, verdict: 'flow', record, inner }
}

function malformed(reason: Reason, title: string, frame: Buffer): Vector {
  return { title, packet: frame, verdict: 'malformed', reason }
}

function notIp(title: string, frame: Buffer): Vector {
  return { title, packet: frame, verdict: 'not_ip' }
}

function cut(frame: Buffer, size: number): Buffer {
  return frame.subarray(0, size)
}

const LAYER_2: Vector[] = [
  flow('IPv4 UDP', packet(ethernet(), ipv4(), ...UDP_100), UDP4),
  flow('IPv6 UDP', packet(ethernet(), ipv6(), ...UDP_100), UDP6),
  flow('802.1Q tag', packet(ethernet(), vlan(100), ipv4(), ...UDP_100), { ...UDP4, vlan: 100 }),
  flow('802.1Q tag with priority 5', packet(ethernet(), vlan(4095, 0x8100, 5), ipv6(), ...UDP_100), {
    ...UDP6,
    vlan: 4095,
  }),
  flow('priority tag (id 0) only', packet(ethernet(), vlan(0, 0x8100, 3), ipv4(), ...UDP_100), UDP4),
  flow(
    'QinQ: the outer id of 802.1ad is kept',
    packet(ethernet(), vlan(200, 0x88a8), vlan(7), ipv4(), ...UDP_100),
    {
      ...UDP4,
      vlan: 200,
    },
  ),
  flow(
    'QinQ of the old kind, 0x9100, around IPv6',
    packet(ethernet(), vlan(300, 0x9100), vlan(7), ipv6(), ...UDP_100),
    {
      ...UDP6,
      vlan: 300,
    },
  ),
  flow(
    'four tags, the most that are followed',
    packet(ethernet(), vlan(1, 0x88a8), vlan(2, 0x88a8), vlan(3), vlan(4), ipv4(), ...UDP_100),
    { ...UDP4, vlan: 1 },
  ),
  malformed(
    'vlan_deep',
    'five tags',
    packet(ethernet(), vlan(1), vlan(2), vlan(3), vlan(4), vlan(5), ipv4(), ...UDP_100),
  ),
  malformed('vlan_short', 'cut within a tag', cut(packet(ethernet(), vlan(100), ipv4(), ...UDP_100), 16)),
  malformed('vlan_short', 'cut within the second tag', cut(packet(ethernet(), vlan(1), vlan(2), ipv4()), 20)),
  flow('PPPoE session, IPv4', packet(ethernet(), pppoe(), ipv4(), ...UDP_100), UDP4),
  flow('PPPoE session, IPv6, in a VLAN', packet(ethernet(), vlan(35), pppoe(), ipv6(), ...UDP_100), {
    ...UDP6,
    vlan: 35,
  }),
  flow('PPPoE session, MPLS in PPP', packet(ethernet(), pppoe(), mpls(16), ipv4(), ...UDP_100), UDP4),
  notIp('PPPoE session, LCP echo', packet(ethernet(), pppoe({ pppProtocol: 0xc021 }), payload(60))),
  notIp(
    'PPPoE session, code of a discovery packet',
    packet(ethernet(), pppoe({ code: 0xa7 }), ipv4(), ...UDP_100),
  ),
  notIp('PPPoE discovery (0x8863)', packet(ethernet(0x8863), payload(60))),
  malformed('pppoe_short', 'cut within the PPPoE header', cut(packet(ethernet(), pppoe(), ipv4()), 19)),
  flow('MPLS, one label', packet(ethernet(), mpls(1000), ipv4(), ...UDP_100), UDP4),
  flow('MPLS, IPv4 explicit null (label 0)', packet(ethernet(), mpls(0), ipv4(), ...UDP_100), UDP4),
  flow(
    'MPLS, label over IPv6 explicit null (label 2)',
    packet(ethernet(), mpls(77), mpls(2), ipv6(), ...UDP_100),
    UDP6,
  ),
  flow('MPLS, multicast EtherType 0x8848', packet(ethernet(0x8848), mpls(1000), ipv4(), ...UDP_100), UDP4),
  flow(
    'MPLS, eight labels in a VLAN, the most that are followed',
    packet(
      ethernet(),
      vlan(9),
      ...[1, 2, 3, 4, 5, 6, 7, 8].map((label) => mpls(label + 16)),
      ipv6(),
      ...UDP_100,
    ),
    { ...UDP6, vlan: 9 },
  ),
  malformed(
    'mpls_deep',
    'MPLS, nine labels',
    packet(ethernet(), ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((label) => mpls(label + 16)), ipv4(), ...UDP_100),
  ),
  malformed(
    'mpls_short',
    'cut within the second label',
    cut(packet(ethernet(), mpls(16), mpls(17), ipv4()), 20),
  ),
  notIp(
    'MPLS pseudowire: control word, then Ethernet',
    packet(ethernet(), mpls(16), bytes(Buffer.alloc(4)), payload(60)),
  ),
  notIp('MPLS label and nothing behind it', packet(ethernet(), mpls(16))),
  notIp('ARP', padded(packet(ethernet(0x0806), payload(28)))),
  notIp('LLDP in a VLAN', packet(ethernet(), vlan(5), bytes(Buffer.from('88cc0207', 'hex')), payload(60))),
  notIp('IEEE 802.3 length field (spanning tree)', packet(ethernet(38), payload(46))),
  notIp('only an Ethernet header, of unknown type', packet(ethernet(0x88b5))),
]

const LAYER_3: Vector[] = [
  flow('IPv4, DSCP 46 (EF) and ECN, TTL 3', packet(ethernet(), ipv4({ tos: 0xbb, ttl: 3 }), ...UDP_100), {
    ...UDP4,
    dscp: 46,
    ttl: 3,
  }),
  flow(
    'IPv6, DSCP 10 and ECN, hop limit 255',
    packet(ethernet(), ipv6({ trafficClass: 0x29, hopLimit: 255 }), ...UDP_100),
    {
      ...UDP6,
      dscp: 10,
      ttl: 255,
    },
  ),
  flow('IPv4 with 4 bytes of options', packet(ethernet(), ipv4({ options: 4 }), ...UDP_100), {
    ...UDP4,
    bytes: 132,
  }),
  flow(
    'IPv4 with 40 bytes of options, the most there are',
    packet(ethernet(), ipv4({ options: 40 }), ...UDP_100),
    {
      ...UDP4,
      bytes: 168,
    },
  ),
  flow(
    'IPv4, total length longer than the frame: the frame counts',
    packet(ethernet(), ipv4({ totalLength: 1500 }), ...UDP_100),
    UDP4,
  ),
  flow(
    'IPv4, total length forged to 28 in a long frame: the frame counts',
    packet(ethernet(), ipv4({ totalLength: 28 }), ...UDP_100),
    UDP4,
  ),
  flow(
    'IPv4, padded to 60 bytes: the IP length counts',
    padded(packet(ethernet(), ipv4(), udp(), payload(2))),
    {
      ...UDP4,
      bytes: 30,
    },
  ),
  flow('IPv4, exactly 60 bytes, nothing padded', packet(ethernet(), ipv4(), udp(), payload(18)), {
    ...UDP4,
    bytes: 46,
  }),
  flow(
    'IPv4, 61 bytes with a forged total length: the frame counts',
    packet(ethernet(), ipv4({ totalLength: 28 }), udp(), payload(19)),
    {
      ...UDP4,
      bytes: 47,
    },
  ),
  flow('IPv6, no next header, padded to 60 bytes', padded(packet(ethernet(), ipv6())), {
    ...V6,
    protocol: 59,
    bytes: 40,
  }),
  flow('IPv4, unknown protocol 200', packet(ethernet(), ipv4({ protocol: 200 }), payload(40)), {
    ...V4,
    protocol: 200,
    bytes: 60,
  }),
  flow('IPv4 ESP: no ports', packet(ethernet(), ipv4({ protocol: 50 }), payload(64)), {
    ...V4,
    protocol: 50,
    bytes: 84,
  }),
  flow(
    'IPv4, first fragment: ports known',
    packet(ethernet(), ipv4({ moreFragments: true }), udp({ length: 3000 }), payload(1472)),
    {
      ...UDP4,
      bytes: 1500,
      marks: Mark.fragment,
    },
  ),
  flow(
    'IPv4, middle fragment: ports 0',
    packet(ethernet(), ipv4({ moreFragments: true, fragmentOffset: 185, protocol: 17 }), payload(1480)),
    {
      ...V4,
      protocol: 17,
      bytes: 1500,
      marks: Mark.fragment,
    },
  ),
  flow(
    'IPv4, last fragment of TCP: ports and flags 0',
    packet(ethernet(), ipv4({ fragmentOffset: 370, protocol: 6 }), payload(200)),
    {
      ...V4,
      protocol: 6,
      bytes: 220,
      marks: Mark.fragment,
    },
  ),
  flow(
    'IPv4, tiny first fragment of TCP (RFC 1858): ports, no flags',
    packet(
      ethernet(),
      ipv4({ moreFragments: true, protocol: 6 }),
      bytes(Buffer.from('9c4001bb00000000', 'hex')),
    ),
    { ...V4, ...TCP_PORTS, protocol: 6, bytes: 28, marks: Mark.fragment },
  ),
  malformed('ipv4_short', 'IPv4, cut within the header', cut(packet(ethernet(), ipv4(), udp()), 14 + 19)),
  malformed(
    'ipv4_short',
    'IPv4, cut within the options',
    cut(packet(ethernet(), ipv4({ options: 40 }), udp()), 14 + 59),
  ),
  malformed(
    'ipv4_header',
    'IPv4 by EtherType, version 5',
    packet(ethernet(), ipv4({ version: 5 }), ...UDP_100),
  ),
  malformed('ipv4_header', 'IPv4, header length 4 words', packet(ethernet(), ipv4({ ihl: 4 }), ...UDP_100)),
  malformed(
    'ipv4_header',
    'IPv4, total length shorter than the header',
    packet(ethernet(), ipv4({ totalLength: 19 }), ...UDP_100),
  ),
  malformed('ipv6_short', 'IPv6, cut within the header', cut(packet(ethernet(), ipv6(), udp()), 14 + 39)),
  malformed(
    'ipv6_header',
    'IPv6 by EtherType, version 4',
    packet(ethernet(), ipv6({ version: 4 }), ...UDP_100),
  ),
]

const IPV6_EXTENSIONS: Vector[] = [
  flow('IPv6, hop-by-hop options', packet(ethernet(), ipv6(), hopByHop(), ...UDP_100), {
    ...UDP6,
    bytes: 156,
  }),
  flow('IPv6, routing header', packet(ethernet(), ipv6(), routing(), tcp({ flags: 2 })), {
    ...V6,
    ...TCP_PORTS,
    protocol: 6,
    bytes: 84,
    tcpFlags: 2,
  }),
  flow('IPv6, mobility header before UDP', packet(ethernet(), ipv6(), mobility(), ...UDP_100), {
    ...UDP6,
    bytes: 156,
  }),
  flow(
    'IPv6, authentication header of 24 bytes',
    packet(ethernet(), ipv6(), authentication(24), ...UDP_100),
    {
      ...UDP6,
      bytes: 172,
    },
  ),
  flow(
    'IPv6, authentication header of 28 bytes: its length counts words, not eights',
    packet(ethernet(), ipv6(), authentication(28), ...UDP_100),
    {
      ...UDP6,
      bytes: 176,
    },
  ),
  flow(
    'IPv6, hop-by-hop, destination, routing, fragment (first), AH, destination, then UDP',
    packet(
      ethernet(),
      ipv6(),
      hopByHop(16),
      destinationOptions(),
      routing(40),
      fragment(0, true),
      authentication(),
      destinationOptions(24),
      ...UDP_100,
    ),
    { ...UDP6, bytes: 148 + 16 + 8 + 40 + 8 + 24 + 24, marks: Mark.fragment },
  ),
  flow(
    'IPv6, eight extension headers, the most that are followed',
    packet(ethernet(), ipv6(), ...Array.from({ length: 8 }, () => destinationOptions()), ...UDP_100),
    { ...UDP6, bytes: 148 + 64 },
  ),
  malformed(
    'ipv6_ext_deep',
    'IPv6, nine extension headers',
    packet(ethernet(), ipv6(), ...Array.from({ length: 9 }, () => destinationOptions()), ...UDP_100),
  ),
  malformed(
    'ipv6_ext_deep',
    'IPv6, extension headers that claim more than 4 KiB',
    cut(packet(ethernet(), ipv6(), destinationOptions(2048), destinationOptions(2048)), 14 + 40 + 2048 + 100),
  ),
  flow(
    'IPv6, first fragment',
    packet(ethernet(), ipv6(), fragment(0, true), udp({ length: 3000 }), payload(1440)),
    {
      ...UDP6,
      bytes: 1496,
      marks: Mark.fragment,
    },
  ),
  flow(
    'QinQ, inner 0x88a8, IPv6 fragment 2 of 3',
    packet(ethernet(), vlan(50), vlan(60, 0x88a8), ipv6(), fragment(181, true, 17), payload(1448)),
    {
      ...V6,
      protocol: 17,
      vlan: 50,
      bytes: 1496,
      marks: Mark.fragment,
    },
  ),
  flow(
    'IPv6, last fragment of ICMPv6: type and code 0',
    packet(ethernet(), ipv6(), fragment(362, false, 58), payload(100)),
    {
      ...V6,
      protocol: 58,
      bytes: 148,
      marks: Mark.fragment,
    },
  ),
  flow(
    'IPv6, atomic fragment (RFC 6946) is a whole packet',
    packet(ethernet(), ipv6(), fragment(0, false), ...UDP_100),
    {
      ...UDP6,
      bytes: 156,
    },
  ),
  flow(
    'IPv6, no next header after destination options',
    packet(ethernet(), ipv6(), destinationOptions(), payload(0)),
    {
      ...V6,
      protocol: 59,
      bytes: 48,
    },
  ),
  flow(
    'IPv6, payload length 0 with hop-by-hop (jumbogram): the frame counts',
    packet(ethernet(), ipv6({ payloadLength: 0 }), hopByHop(), ...UDP_100),
    {
      ...UDP6,
      bytes: 156,
    },
  ),
  malformed(
    'ipv6_ext_short',
    'IPv6, frame ends within hop-by-hop',
    cut(packet(ethernet(), ipv6(), hopByHop(), udp()), 14 + 44),
  ),
  malformed(
    'ipv6_ext_short',
    'IPv6, an extension longer than the packet',
    cut(packet(ethernet(), ipv6(), destinationOptions(256), ...UDP_100), 14 + 40 + 100),
  ),
  malformed(
    'ipv6_ext_short',
    'IPv6, payload length ends within the extension',
    packet(ethernet(), ipv6({ payloadLength: 8 }), routing(), ...UDP_100),
  ),
]

const LAYER_4: Vector[] = [
  flow('TCP SYN', padded(packet(ethernet(), ipv4(), tcp({ flags: 0x02 }))), {
    ...V4,
    ...TCP_PORTS,
    protocol: 6,
    bytes: 40,
    tcpFlags: 2,
  }),
  flow('TCP, all eight flags', packet(ethernet(), ipv6(), tcp({ flags: 0xff })), {
    ...V6,
    ...TCP_PORTS,
    protocol: 6,
    bytes: 60,
    tcpFlags: 255,
  }),
  flow('TCP with 40 bytes of options', packet(ethernet(), ipv4(), tcp({ dataOffset: 15 }), payload(40)), {
    ...V4,
    ...TCP_PORTS,
    protocol: 6,
    bytes: 80,
    tcpFlags: 16,
  }),
  flow('UDP, ports 0 and 65535', packet(ethernet(), ipv4(), udp({ src: 0, dst: 65535 }), payload(100)), {
    ...UDP4,
    srcPort: 0,
    dstPort: 65535,
  }),
  flow('UDP, length 0', packet(ethernet(), ipv4(), udp({ length: 0 }), payload(100)), UDP4),
  flow('SCTP', packet(ethernet(), ipv4(), sctp(), payload(20)), {
    ...V4,
    srcPort: 40000,
    dstPort: 2905,
    protocol: 132,
    bytes: 52,
  }),
  flow('SCTP over IPv6', packet(ethernet(), ipv6(), sctp(), payload(20)), {
    ...V6,
    srcPort: 40000,
    dstPort: 2905,
    protocol: 132,
    bytes: 72,
  }),
  flow('ICMP echo request', packet(ethernet(), ipv4(), icmp(8, 0), payload(56)), {
    ...V4,
    srcPort: 8,
    protocol: 1,
    bytes: 84,
  }),
  flow('ICMP port unreachable', packet(ethernet(), ipv4(), icmp(3, 3), payload(28)), {
    ...V4,
    srcPort: 3,
    dstPort: 3,
    protocol: 1,
    bytes: 56,
  }),
  flow(
    'ICMPv6 neighbour solicitation',
    packet(ethernet(), ipv6({ hopLimit: 255 }), icmpv6(135, 0), payload(16)),
    {
      ...V6,
      srcPort: 135,
      protocol: 58,
      bytes: 64,
      ttl: 255,
    },
  ),
  flow('ICMPv6 port unreachable', packet(ethernet(), ipv6(), icmpv6(1, 4), payload(40)), {
    ...V6,
    srcPort: 1,
    dstPort: 4,
    protocol: 58,
    bytes: 88,
  }),
  malformed('l4_short', 'TCP, cut within the header', cut(packet(ethernet(), ipv4(), tcp()), 14 + 20 + 19)),
  malformed('l4_short', 'UDP, cut within the ports', cut(packet(ethernet(), ipv6(), udp()), 14 + 40 + 3)),
  malformed(
    'l4_short',
    'UDP in the padding: the IP length ends before it',
    padded(packet(ethernet(), ipv4({ totalLength: 20 }), udp())),
  ),
  malformed('l4_short', 'ICMP, 7 bytes', cut(packet(ethernet(), ipv4(), icmp()), 14 + 20 + 7)),
  malformed('l4_short', 'SCTP, 11 bytes', cut(packet(ethernet(), ipv4(), sctp()), 14 + 20 + 11)),
  malformed(
    'l4_header',
    'TCP, data offset 4',
    packet(ethernet(), ipv4(), tcp({ dataOffset: 4 }), payload(20)),
  ),
  malformed('l4_header', 'UDP, length 7', packet(ethernet(), ipv4(), udp({ length: 7 }), payload(20))),
]

const INNER_UDP4: ExpectedRecord = {
  ...INNER_V4,
  ...PORTS,
  protocol: 17,
  bytes: 0,
  marks: Mark.tunnelled,
  ttl: 9,
}
const INNER4 = [ipv4({ ...INNER_V4, ttl: 9 }), ...UDP_100]
const INNER_TCP6: ExpectedRecord = {
  ...INNER_V6,
  ...TCP_PORTS,
  protocol: 6,
  bytes: 0,
  tcpFlags: 2,
  marks: Mark.tunnelled,
  ttl: 9,
}
const INNER6 = [ipv6({ ...INNER_V6, hopLimit: 9 }), tcp({ flags: 2 })]

/** The inner record, with the outer packet's bytes. */
function within(inner: ExpectedRecord, size: number): ExpectedRecord {
  return { ...inner, bytes: size }
}

const VXLAN_PORTS = { srcPort: 50000, dstPort: 4789 }
const VXLAN_UDP = udp({ src: 50000, dst: 4789 })

const TUNNELS: Vector[] = [
  tunnel(
    'IPIP',
    packet(ethernet(), ipv4(), ...INNER4),
    { ...V4, protocol: 4, bytes: 148 },
    within(INNER_UDP4, 148),
  ),
  tunnel(
    '6in4',
    packet(ethernet(), ipv4(), ...INNER6),
    { ...V4, protocol: 41, bytes: 80 },
    within(INNER_TCP6, 80),
  ),
  tunnel(
    '4in6',
    packet(ethernet(), ipv6(), ...INNER4),
    { ...V6, protocol: 4, bytes: 168 },
    within(INNER_UDP4, 168),
  ),
  tunnel(
    '6in6 behind destination options',
    packet(ethernet(), ipv6(), destinationOptions(), ...INNER6),
    { ...V6, protocol: 41, bytes: 108 },
    within(INNER_TCP6, 108),
  ),
  tunnel(
    'GRE, bare',
    packet(ethernet(), ipv4(), gre(), ...INNER4),
    { ...V4, protocol: 47, bytes: 152 },
    within(INNER_UDP4, 152),
  ),
  tunnel(
    'GRE with key',
    packet(ethernet(), ipv4(), gre({ key: 5 }), ...INNER6),
    { ...V4, protocol: 47, bytes: 88 },
    within(INNER_TCP6, 88),
  ),
  tunnel(
    'GRE with checksum, key and sequence number, over IPv6 in a VLAN',
    packet(ethernet(), vlan(12), ipv6(), gre({ checksum: true, key: 5, sequence: 9 }), ...INNER4),
    { ...V6, protocol: 47, bytes: 184, vlan: 12 },
    { ...within(INNER_UDP4, 184), vlan: 12 },
  ),
  tunnel(
    'GRE carrying Ethernet with a VLAN: the outer id is kept',
    packet(ethernet(), ipv4(), gre(), ethernet(), vlan(99), ...INNER4),
    { ...V4, protocol: 47, bytes: 170 },
    within(INNER_UDP4, 170),
  ),
  tunnel(
    'GRE version 1 (PPTP) stays outer',
    packet(ethernet(), ipv4(), gre({ version: 1, protocol: 0x880b }), payload(60)),
    { ...V4, protocol: 47, bytes: 84 },
    { ...V4, protocol: 47, bytes: 84 },
  ),
  tunnel(
    'GRE keepalive (protocol 0) stays outer',
    packet(ethernet(), ipv4(), gre({ protocol: 0 }), payload(40)),
    { ...V4, protocol: 47, bytes: 64 },
    { ...V4, protocol: 47, bytes: 64 },
  ),
  tunnel(
    'VXLAN',
    packet(ethernet(), ipv4(), VXLAN_UDP, vxlan(), ethernet(), ...INNER4),
    { ...V4, ...VXLAN_PORTS, protocol: 17, bytes: 178 },
    within(INNER_UDP4, 178),
  ),
  tunnel(
    'VXLAN over IPv6, inner IPv6',
    packet(ethernet(), ipv6(), VXLAN_UDP, vxlan(), ethernet(), ...INNER6),
    { ...V6, ...VXLAN_PORTS, protocol: 17, bytes: 130 },
    within(INNER_TCP6, 130),
  ),
  tunnel(
    'VXLAN carrying ARP stays outer',
    packet(ethernet(), ipv4(), VXLAN_UDP, vxlan(), ethernet(0x0806), payload(28)),
    { ...V4, ...VXLAN_PORTS, protocol: 17, bytes: 78 },
    { ...V4, ...VXLAN_PORTS, protocol: 17, bytes: 78 },
  ),
  tunnel(
    'port 4789 without the VNI flag is no VXLAN',
    packet(ethernet(), ipv4(), VXLAN_UDP, vxlan(1, 0), ethernet(), ...INNER4),
    { ...V4, ...VXLAN_PORTS, protocol: 17, bytes: 178 },
    { ...V4, ...VXLAN_PORTS, protocol: 17, bytes: 178 },
  ),
  tunnel(
    'IPIP, inner later fragment',
    packet(ethernet(), ipv4(), ipv4({ ...INNER_V4, ttl: 9, fragmentOffset: 10, protocol: 17 }), payload(80)),
    { ...V4, protocol: 4, bytes: 120 },
    {
      ...INNER_V4,
      protocol: 17,
      bytes: 120,
      ttl: 9,
      marks: Mark.tunnelled | Mark.fragment,
    },
  ),
  tunnel(
    'IPIP, outer later fragment: nothing of the inner is there',
    packet(ethernet(), ipv4({ fragmentOffset: 20, protocol: 4 }), payload(80)),
    { ...V4, protocol: 4, bytes: 100, marks: Mark.fragment },
    { ...V4, protocol: 4, bytes: 100, marks: Mark.fragment },
  ),
  tunnel(
    'IPIP, inner header cut',
    packet(ethernet(), ipv4({ protocol: 4 }), bytes(Buffer.from('4500', 'hex')), payload(10)),
    { ...V4, protocol: 4, bytes: 32 },
    'malformed',
  ),
  tunnel(
    'GRE, inner version lies',
    packet(ethernet(), ipv4(), gre({ protocol: 0x86dd }), ipv4(INNER_V4), ...UDP_100),
    { ...V4, protocol: 47, bytes: 152 },
    'malformed',
  ),
  tunnel(
    'GRE header cut',
    packet(ethernet(), ipv4({ protocol: 47 }), bytes(Buffer.from('000008', 'hex'))),
    { ...V4, protocol: 47, bytes: 23 },
    'malformed',
  ),
]

export const VECTORS: readonly Vector[] = [...LAYER_2, ...LAYER_3, ...IPV6_EXTENSIONS, ...LAYER_4, ...TUNNELS]
