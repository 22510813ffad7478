// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check'
import * as p from './packet.js'

/** Few addresses and ports, so that flows and destinations come again. */
const ipv4Address = fc.integer({ min: 0, max: 40 }).map((n) => `198.51.100.${n}`)
const ipv6Address = fc.integer({ min: 0, max: 40 }).map((n) => `2001:db8:1::${n.toString(16)}`)
const port = fc.integer({ min: 0, max: 5 }).map((n) => n * 1000)
const rarely = (arbitrary: fc.Arbitrary<p.Layer>) => fc.option(arbitrary, { freq: 4, nil: undefined })

const layer2 = fc.oneof(
  { weight: 5, arbitrary: fc.constant<p.Layer[]>([]) },
  {
    weight: 2,
    arbitrary: fc
      .array(
        fc.record({ id: fc.integer({ min: 0, max: 4095 }), tpid: fc.constantFrom(0x8100, 0x88a8, 0x9100) }),
        { minLength: 1, maxLength: 5 },
      )
      .map((tags) => tags.map(({ id, tpid }) => p.vlan(id % 8, tpid))),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom([p.pppoe()], [p.vlan(3), p.pppoe()], [p.pppoe({ pppProtocol: 0xc021 })]),
  },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 1, max: 9 })
      .map((labels) => Array.from({ length: labels }, (_, n) => p.mpls(n))),
  },
)

const layer3v4 = fc
  .record({
    src: ipv4Address,
    dst: ipv4Address,
    tos: fc.integer({ min: 0, max: 255 }),
    ttl: fc.integer({ min: 0, max: 255 }),
    options: fc.constantFrom(0, 0, 0, 4, 40),
    moreFragments: fc.constantFrom(false, false, false, true),
    fragmentOffset: fc.constantFrom(0, 0, 0, 185),
  })
  .map((options) => [p.ipv4(options)])

const extension = fc.constantFrom(
  p.hopByHop(),
  p.routing(),
  p.destinationOptions(32),
  p.mobility(),
  p.authentication(28),
  p.fragment(0, false),
  p.fragment(0, true),
  p.fragment(99, true),
)

const layer3v6 = fc
  .record({
    src: ipv6Address,
    dst: ipv6Address,
    trafficClass: fc.integer({ min: 0, max: 255 }),
    extensions: fc.oneof(
      { weight: 3, arbitrary: fc.constant<p.Layer[]>([]) },
      { weight: 1, arbitrary: fc.array(extension, { minLength: 1, maxLength: 9 }) },
    ),
  })
  .map(({ extensions, ...header }) => [p.ipv6(header), ...extensions])

const layer3 = fc.oneof(layer3v4, layer3v6)

const layer4 = fc.oneof(
  fc
    .record({ src: port, dst: port, flags: fc.integer({ min: 0, max: 255 }) })
    .map((options) => p.tcp(options)),
  fc.record({ src: port, dst: port }).map((options) => p.udp(options)),
  fc.record({ src: port, dst: port }).map((options) => p.sctp(options)),
  fc.integer({ min: 0, max: 20 }).map((type) => p.icmp(type, 1)),
  fc.integer({ min: 128, max: 137 }).map((type) => p.icmpv6(type, 0)),
)

const tunnel = fc.constantFrom<p.Layer[]>(
  [],
  [p.gre()],
  [p.gre({ checksum: true, key: 1, sequence: 2 })],
  [p.gre(), p.ethernet()],
  [p.udp({ src: 1000, dst: 4789 }), p.vxlan(), p.ethernet()],
)

const payload = fc.integer({ min: 0, max: 1300 }).map((size) => p.payload(size))

const wellFormed = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(layer2, layer3, rarely(layer4), payload)
      .map(([l2, l3, l4, data]) => p.packet(p.ethernet(), ...l2, ...l3, ...(l4 ? [l4] : []), data)),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(layer2, layer3, tunnel, layer3, layer4, payload)
      .map(([l2, outer, between, inner, l4, data]) =>
        p.packet(p.ethernet(), ...l2, ...outer, ...between, ...inner, l4, data),
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(0x0806, 0x88cc, 0x0026)
      .map((type) => p.packet(p.ethernet(type), p.payload(46))),
  },
)

/** BPF_PROG_TEST_RUN takes nothing shorter than an Ethernet header. */
const SHORTEST = 14

/** Whatever a wire may bring: as it should be, cut off somewhere, or with bytes changed on the way. */
export const anyPacket: fc.Arbitrary<Buffer> = fc
  .record({
    frame: wellFormed,
    cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 5, nil: undefined }),
    flips: fc.oneof(
      { weight: 4, arbitrary: fc.constant<[number, number][]>([]) },
      {
        weight: 1,
        arbitrary: fc.array(fc.tuple(fc.integer({ min: 12, max: 100 }), fc.integer({ min: 0, max: 255 })), {
          maxLength: 4,
        }),
      },
    ),
    pad: fc.boolean(),
  })
  .map(({ frame, cut, flips, pad }) => {
    const size = cut === undefined ? frame.length : Math.floor(cut * Math.min(frame.length, 160))
    const kept = Buffer.from(frame.subarray(0, Math.max(SHORTEST, size)))
    for (const [at, value] of flips) if (at < kept.length) kept[at] = value
    return pad ? p.padded(kept) : kept
  })

/** Bytes of no meaning behind an EtherType that leads far into the parser, or behind none. */
export const anyBytes: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.constantFrom(0x0800, 0x86dd, 0x8100, 0x88a8, 0x8864, 0x8847, undefined),
    fc.uint8Array({ minLength: SHORTEST, maxLength: 256, size: 'max' }),
    fc.constantFrom(0x45, 0x60, 0x11, undefined),
  )
  .map(([type, content, first]) => {
    const frame = Buffer.from(content)
    if (type !== undefined) frame.writeUInt16BE(type, 12)
    if (first !== undefined && frame.length > 14) frame[14] = first
    return frame
  })
