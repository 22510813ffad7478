// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseAddress, parsePrefix } from '@flowdam/common'
import { encodeRecord, type FlowRecord, MAX_BATCH_RECORDS, Mark, RECORD_SIZE } from '@flowdam/proto'
import fc from 'fast-check'
import { Attacked } from './attacked.js'
import { mergeDetails } from './detail.js'
import { Effort } from './effort.js'
import { Evidence } from './evidence.js'

const EPOCH = 1_000_000
const EXTERNAL = new Uint8Array(256).fill(1)
const VICTIM = '203.0.113.9'

function flow(more: Partial<FlowRecord> & { src?: string; dst?: string } = {}): FlowRecord {
  const { src = '8.8.4.4', dst = VICTIM, ...rest } = more
  return {
    srcAddr: parseAddress(src),
    dstAddr: parseAddress(dst),
    ...{ srcPort: 53, dstPort: 4000, protocol: 17, iface: 0, vlan: 0, bytes: 1000, packets: 10, firstMs: 5 },
    ...{ durationMs: 0, source: 0, tcpFlags: 0, dscp: 0, marks: 0, ttl: 57 },
    ...rest,
  }
}

/** At an odd offset, as the decoder may put them. */
function encode(flows: readonly FlowRecord[], offset = 1): Uint8Array {
  const bytes = new Uint8Array(flows.length * RECORD_SIZE + offset)
  for (const [index, each] of flows.entries()) encodeRecord(each, bytes, offset + index * RECORD_SIZE)
  return bytes.subarray(offset)
}

function gather(
  flows: readonly FlowRecord[],
  direction: 'incoming' | 'outgoing' = 'incoming',
  target = VICTIM,
) {
  // A batch a second: all of its records are looked at.
  let now = 0
  const attacked = new Attacked(new Effort(() => now))
  const evidence = new Evidence(direction, EPOCH)
  attacked.add('a', [parsePrefix(target)], direction, evidence)
  for (let from = 0; from < flows.length; from += MAX_BATCH_RECORDS, now += 1000) {
    attacked.scan(encode(flows.slice(from, from + MAX_BATCH_RECORDS)), EXTERNAL, EPOCH)
  }
  return evidence.snapshot()
}

const address = fc
  .tuple(fc.constantFrom('8.8.4', '9.9.9', '100.64.1'), fc.integer({ min: 1, max: 9 }))
  .map(([network, host]) => `${network}.${host}`)
const someFlow = fc
  .record({
    src: address,
    dst: fc.constantFrom(VICTIM, VICTIM, '203.0.113.10', '2001:db8::9'),
    srcPort: fc.constantFrom(53, 123, 4444),
    dstPort: fc.constantFrom(80, 443),
    protocol: fc.constantFrom(6, 17),
    packets: fc.integer({ min: 1, max: 1000 }),
    size: fc.integer({ min: 40, max: 1500 }),
    tcpFlags: fc.constantFrom(2, 16, 24),
    ttl: fc.constantFrom(50, 57, 120),
    marks: fc.constantFrom(0, 0, 0, Mark.overflow),
    iface: fc.constantFrom(0, 0, 3),
    firstMs: fc.constantFrom(5, 900),
  })
  .map(({ size, ...rest }) => flow({ ...rest, bytes: rest.packets * size }))

describe('what the flows of an attack tell', () => {
  it('is what their sum is: of the target, on external interfaces, overflow apart', () => {
    fc.assert(
      fc.property(fc.array(someFlow, { maxLength: 60 }), (flows) => {
        const external = EXTERNAL.slice()
        external[3] = 0
        const attacked = new Attacked()
        const evidence = new Evidence('incoming', EPOCH + 100)
        attacked.add('a', [parsePrefix(VICTIM)], 'incoming', evidence)
        attacked.add('other', [parsePrefix('203.0.113.10')], 'incoming', new Evidence('incoming', EPOCH))
        attacked.scan(encode(flows), external, EPOCH)
        const found = evidence.snapshot()
        const mine = flows.filter(
          (each) =>
            Buffer.from(each.dstAddr).equals(parseAddress(VICTIM)) &&
            each.iface === 0 &&
            each.firstMs === 900,
        )
        const known = mine.filter(({ marks }) => marks === 0)
        const sum = (list: FlowRecord[]) => list.reduce((n, { packets }) => n + packets, 0)
        assert.equal(found.flows, known.length)
        assert.equal(found.packets, sum(known))
        assert.equal(
          found.bytes,
          known.reduce((n, { bytes }) => n + bytes, 0),
        )
        assert.equal(found.missingPackets, sum(mine) - sum(known))
        // Few names: every list adds up.
        const total = (list: { packets: number }[]) => list.reduce((n, { packets }) => n + packets, 0)
        assert.equal(total(found.sources.prefixes), found.packets)
        assert.equal(total(found.sources.ports), found.packets)
        assert.equal(total(found.targetPorts), found.packets)
        assert.equal(total(found.ttl.common), found.packets)
        assert.equal(total(found.sizes.counts), found.packets)
        assert.equal(total(found.protocols), sum(mine))
        assert.equal(total(found.tcpFlags), sum(known.filter(({ protocol }) => protocol === 6)))
        assert.equal(found.sources.distinct, new Set(known.map(({ srcAddr }) => srcAddr.join())).size)
        assert.equal(found.sample.length, Math.min(10, known.length))
        if (known.length > 0) {
          const sizes = known.map(({ bytes, packets }) => Math.round(bytes / packets))
          assert.deepEqual([found.sizes.min, found.sizes.max], [Math.min(...sizes), Math.max(...sizes)])
        }
      }),
      { numRuns: 200 },
    )
  })

  it('names addresses, networks, ports, flags and times as people write them', () => {
    const found = gather([
      flow({ src: '8.8.4.4', packets: 3, protocol: 6, tcpFlags: 0x12, firstMs: 70, durationMs: 8 }),
      flow({ src: '8.8.4.5', packets: 1 }),
      flow({ src: '2a00:1:2:3::4', packets: 2 }),
    ])
    assert.deepEqual(
      found.sources.prefixes.map(({ name, packets }) => `${name} ${packets}`),
      ['8.8.4.0/24 4', '2a00:1:2::/48 2'],
    )
    assert.deepEqual(
      found.sources.addresses.map(({ name }) => name),
      ['8.8.4.4', '2a00:1:2:3::4', '8.8.4.5'],
    )
    assert.deepEqual(found.tcpFlags, [{ name: 'SYN|ACK', packets: 3, bytes: 1000 }])
    const [first] = found.sample
    assert.deepEqual([first?.srcAddr, first?.timeUnixMs, first?.durationMs], ['8.8.4.4', EPOCH + 70, 8])
  })

  it('of an outgoing attack, the far side is where it goes, and nothing is said of spoofing', () => {
    const found = gather([flow({ src: VICTIM, dst: '8.8.4.4', srcPort: 4000, dstPort: 53 })], 'outgoing')
    assert.deepEqual(
      [found.sources.addresses[0]?.name, found.sources.ports[0]?.name, found.targetPorts[0]?.name],
      ['8.8.4.4', '53', '4000'],
    )
    assert.equal(found.spoofing, undefined)
  })

  it('a prefix takes all its addresses, one that lies in two of its prefixes once, and each attack its own', () => {
    const attacked = new Attacked()
    const [wide, group, host] = [0, 1, 2].map(() => new Evidence('incoming', 0)) as [
      Evidence,
      Evidence,
      Evidence,
    ]
    attacked.add('wide', [parsePrefix('203.0.113.0/24')], 'incoming', wide)
    attacked.add('group', [parsePrefix('203.0.113.0/24'), parsePrefix('203.0.113.8/29')], 'incoming', group)
    attacked.add('host', [parsePrefix(VICTIM)], 'incoming', host)
    const batch = encode([flow(), flow({ dst: '203.0.113.200' }), flow({ dst: '203.0.112.9' })])
    attacked.scan(batch, EXTERNAL, EPOCH)
    assert.deepEqual(
      [wide, group, host].map((evidence) => evidence.snapshot().flows),
      [2, 2, 1],
    )
    attacked.remove('wide')
    attacked.scan(batch, EXTERNAL, EPOCH)
    assert.deepEqual(
      [wide, group, host].map((evidence) => evidence.snapshot().flows),
      [2, 4, 2],
    )
  })

  it('a flood of invented sources: few large ones are still named, the number of sources is about right', () => {
    const flows: FlowRecord[] = []
    const invented = 50_000
    for (let i = 0; i < invented; i++) {
      const src = `${11 + (i % 80)}.${(i >> 8) & 255}.${i & 255}.${(i * 7) & 255}`
      flows.push(flow({ src, packets: 1, bytes: 60, ttl: i % 64 }))
      if (i % 500 === 0) flows.push(flow({ src: '8.8.4.4', packets: 20, bytes: 20_000 }))
    }
    const distinct = new Set(flows.map(({ srcAddr }) => srcAddr.join())).size
    const found = gather(flows)
    assert.deepEqual(found.sources.addresses[0], { name: '8.8.4.4', packets: 2000, bytes: 2e6 })
    assert.ok(
      Math.abs(found.sources.distinct / distinct - 1) < 0.2,
      `${found.sources.distinct} of ${distinct}`,
    )
    assert.ok((found.spoofing?.singlePacket ?? 0) > 0.99)
    assert.ok((found.spoofing?.sampled ?? 0) > 400)
    assert.ok(found.sources.addresses.slice(1).every(({ packets }) => packets <= 20))
  })

  it('signs of spoofing: impossible addresses, TTLs that disagree, one packet in all', () => {
    const found = gather([
      flow({ src: '10.1.2.3', packets: 5 }),
      flow({ src: '100.64.0.1', packets: 5 }),
      flow({ src: 'fe80::1', packets: 5 }),
      flow({ src: '9.9.9.9', ttl: 50, packets: 5 }),
      flow({ src: '9.9.9.9', ttl: 60, packets: 5 }),
      // Systems begin at different numbers: 57 and 121 are seven routers both.
      flow({ src: '9.9.9.10', ttl: 57, packets: 5 }),
      flow({ src: '9.9.9.10', ttl: 121, packets: 5 }),
      flow({ src: '9.9.9.11', packets: 1 }),
      flow({ src: '9.9.9.12', packets: 1 }),
      flow({ src: '9.9.9.12', packets: 1 }),
    ])
    assert.deepEqual(found.spoofing, {
      sampled: 7,
      suspect: 5 / 7,
      singlePacket: 1 / 7,
      ttlDisagrees: 1 / 7,
      bogon: 3 / 7,
    })
  })

  it('adds up over a restart', () => {
    const [a, b] = [gather([flow({ packets: 3 }), flow({ src: '9.9.9.9' })]), gather([flow({ packets: 4 })])]
    const both = mergeDetails(a, b)
    assert.deepEqual([both.flows, both.packets], [3, 17])
    assert.deepEqual(
      both.sources.addresses.map(({ name, packets }) => [name, packets]),
      [
        ['9.9.9.9', 10],
        ['8.8.4.4', 7],
      ],
    )
    assert.equal(mergeDetails(a, gather([])), a)
  })
})
