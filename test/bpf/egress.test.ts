// SPDX-License-Identifier: Apache-2.0
//
// What only some packets have: segments that do not exist yet, and headers that do not lie in one piece.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Counter, lawBreaches } from './counter.js'
import {
  destinationOptions,
  ethernet,
  gre,
  ipv4,
  ipv6,
  packet,
  payload,
  tcp,
  udp,
  vlan,
  vxlan,
} from './packet.js'

/** struct __sk_buff of linux/bpf.h, as far as BPF_PROG_TEST_RUN takes it. */
function skb(fields: { gsoSegs?: number; gsoSize?: number; linear?: number }): Buffer {
  const context = Buffer.alloc(192)
  context.writeUInt32LE(fields.linear ?? 0, 80)
  context.writeUInt32LE(fields.gsoSegs ?? 0, 164)
  context.writeUInt32LE(fields.gsoSize ?? 0, 176)
  return context
}

/** struct xdp_md with the size of the first buffer. */
function xdp(linear: number): Buffer {
  const context = Buffer.alloc(24)
  context.writeUInt32LE(linear, 4)
  return context
}

let counter: Counter
before(() => {
  counter = new Counter()
})
after(() => counter.close())

/** Packets, bytes, source port and protocol of the one flow. */
function counted(run: () => void) {
  counter.clear()
  run()
  const result = counter.counted()
  assert.deepEqual(lawBreaches(result), [])
  return result.flows.map(({ packets, bytes, srcPort, protocol }) => ({ packets, bytes, srcPort, protocol }))
}

describe('GSO: a super packet counts as the segments it becomes', () => {
  const cases = [
    {
      title: 'TCP, 2 full segments and a rest, 20 + 32 bytes of headers each',
      frame: packet(ethernet(), ipv4(), tcp({ dataOffset: 8 }), payload(12 + 2 * 1448 + 500)),
      fields: { gsoSegs: 3, gsoSize: 1448 },
      record: { packets: 3, bytes: 3 * 52 + 2 * 1448 + 500, srcPort: 40000, protocol: 6 },
    },
    {
      title: 'the same when a guest has not said how many (SKB_GSO_DODGY)',
      frame: packet(ethernet(), ipv4(), tcp({ dataOffset: 8 }), payload(12 + 2 * 1448 + 500)),
      fields: { gsoSize: 1448 },
      record: { packets: 3, bytes: 3 * 52 + 2 * 1448 + 500, srcPort: 40000, protocol: 6 },
    },
    {
      title: 'TCP over IPv6 with an extension header, in a VLAN',
      frame: packet(ethernet(), vlan(4), ipv6(), destinationOptions(16), tcp(), payload(2 * 1400)),
      fields: { gsoSegs: 2, gsoSize: 1400 },
      record: { packets: 2, bytes: 2 * (40 + 16 + 20) + 2800, srcPort: 40000, protocol: 6 },
    },
    {
      title: 'UDP (USO)',
      frame: packet(ethernet(), ipv4(), udp(), payload(3 * 1000 + 1)),
      fields: { gsoSegs: 4, gsoSize: 1000 },
      record: { packets: 4, bytes: 4 * 28 + 3001, srcPort: 40000, protocol: 17 },
    },
    {
      title: 'TCP in VXLAN: each segment gets outer and inner headers',
      frame: packet(
        ethernet(),
        ipv4(),
        udp({ src: 50000, dst: 4789 }),
        vxlan(),
        ethernet(),
        ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }),
        tcp(),
        payload(2 * 1300),
      ),
      fields: { gsoSegs: 2, gsoSize: 1300 },
      record: { packets: 2, bytes: 2 * (28 + 8 + 14 + 40) + 2600, srcPort: 50000, protocol: 17 },
    },
    {
      title: 'TCP over IPv6 in GRE with a key',
      frame: packet(
        ethernet(),
        ipv4(),
        gre({ key: 1 }),
        ipv6({ src: 'fd00::1', dst: 'fd00::2' }),
        tcp(),
        payload(2600),
      ),
      fields: { gsoSegs: 2, gsoSize: 1300 },
      record: { packets: 2, bytes: 2 * (20 + 8 + 60) + 2600, srcPort: 0, protocol: 47 },
    },
    {
      title: 'more than 64 KiB (BIG TCP), length field 0',
      frame: packet(ethernet(), ipv4({ totalLength: 0 }), tcp(), payload(1000)),
      fields: { gsoSegs: 1, gsoSize: 1000 },
      record: { packets: 1, bytes: 1040, srcPort: 40000, protocol: 6 },
    },
  ]
  for (const { title, frame, fields, record } of cases) {
    it(title, () => {
      assert.deepEqual(
        counted(() => counter.run('flowdam_tc', frame, { context: skb(fields) })),
        [record],
      )
    })
  }

  it('is not believed of ingress, where a length of 0 is a lie', () => {
    const frame = packet(ethernet(), ipv4({ totalLength: 0 }), tcp(), payload(1000))
    assert.deepEqual(
      counted(() => counter.run('flowdam_xdp', frame)),
      [],
    )
    assert.deepEqual(counter.counted().reasons, { ipv4_header: 1 })
  })
})

describe('headers in several buffers', () => {
  const long = packet(ethernet(), vlan(3), ipv6(), destinationOptions(64), udp(), payload(3000))
  const record = { packets: 1, bytes: 40 + 64 + 8 + 3000, srcPort: 40000, protocol: 17 }
  const runs = [
    {
      name: 'flowdam_xdp_frags',
      context: (linear: number) => xdp(linear),
      ends: [14, 17, 40, 70, 124, 130, 500],
    },
    { name: 'flowdam_tc', context: (linear: number) => skb({ linear }), ends: [70] },
  ] as const

  for (const { name, context, ends } of runs) {
    // The Ethernet header alone; within VLAN, IPv6, extension, UDP; all headers.
    for (const linear of ends) {
      it(`${name}, the first buffer ends at ${linear}`, (t) => {
        let flows: ReturnType<typeof counted> = []
        try {
          flows = counted(() => counter.run(name, long, { context: context(linear) }))
        } catch (error) {
          // Linux 6.18 made the first buffer's size a parameter of XDP test runs, a later one that of skbs.
          return t.skip(`this kernel's test runs always put the headers into one buffer: ${String(error)}`)
        }
        assert.deepEqual(flows, [record])
      })
    }
  }

  it('counts a jumbo frame of 9 000 bytes in three buffers', () => {
    const frame = packet(ethernet(), ipv4(), udp(), payload(9000 - 28))
    assert.deepEqual(
      counted(() => counter.run('flowdam_xdp_frags', frame)),
      [{ packets: 1, bytes: 9000, srcPort: 40000, protocol: 17 }],
    )
  })

  it('calls headers malformed that do not end within the copied 256 bytes', (t) => {
    const frame = packet(ethernet(), ipv6(), destinationOptions(256), udp(), payload(100))
    try {
      assert.deepEqual(
        counted(() => counter.run('flowdam_xdp_frags', frame, { context: xdp(60) })),
        [],
      )
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
      return t.skip('this kernel always puts the headers into one buffer')
    }
    assert.equal(counter.counted().ledger.malformedPackets, 1)
  })
})
