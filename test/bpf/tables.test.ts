// SPDX-License-Identifier: Apache-2.0
//
// Flow table, overflow, stray CPUs, interfaces, drop rules: what a packet that is parsed right is counted as.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { IFACE_UNKNOWN, IfaceFlag } from '@flowdam/agent'
import { coarseClock, mapLookup, mapUpdate } from '@flowdam/agent/internal/kernel/libbpf'
import { formatAddress, parseAddress } from '@flowdam/common'
import { type FlowRecord, IFACE_EGRESS, Mark } from '@flowdam/proto'
import { Counter, type CounterOptions, IFACE, lawBreaches } from './counter.js'
import { ethernet, icmp, ipv4, ipv6, type Layer, packet, payload, tcp, udp } from './packet.js'

const XDP_DROP = 1
const XDP_PASS = 2
const TC_SHOT = 2

/** Runs the body with a loaded counter; the law must hold at its end. */
function withCounter(options: CounterOptions, body: (counter: Counter) => void): void {
  const counter = new Counter(options)
  try {
    body(counter)
    assert.deepEqual(lawBreaches(counter.counted()), [])
  } finally {
    counter.close()
  }
}

/** The n-th of a flood's packets: each a flow of its own. */
function spoofed(n: number, ...rest: Layer[]): Buffer {
  return packet(ethernet(), ipv4({ src: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}` }), ...rest)
}

function assertPartly(record: FlowRecord | undefined, expected: Partial<FlowRecord>): void {
  assert.ok(record)
  const fields = Object.keys(expected) as (keyof FlowRecord)[]
  assert.deepEqual(Object.fromEntries(fields.map((field) => [field, record[field]])), expected)
}

const byPackets = (a: FlowRecord, b: FlowRecord) => b.packets - a.packets || b.bytes - a.bytes

describe('the flow table', () => {
  it('adds up packets, bytes and TCP flags of a flow, and keeps DSCP and TTL of its first packet', () => {
    withCounter({}, (counter) => {
      counter.run('flowdam_xdp', packet(ethernet(), ipv4({ tos: 8, ttl: 50 }), tcp({ flags: 2 })))
      counter.run(
        'flowdam_xdp',
        packet(ethernet(), ipv4({ tos: 0, ttl: 60 }), tcp({ flags: 16 }), payload(100)),
        {
          repeat: 9,
        },
      )
      const [record, ...others] = counter.counted().flows
      assert.deepEqual(others, [])
      assertPartly(record, {
        packets: 10,
        bytes: 40 + 9 * 140,
        tcpFlags: 18,
        dscp: 2,
        ttl: 50,
      })
    })
  })

  it('holds as many flows as it has slots, in the order in which they came', () => {
    withCounter({ flowSlots: 1024 }, (counter) => {
      for (let n = 0; n < 1024; n++) counter.run('flowdam_xdp', spoofed(n, udp()))
      const { flows, ledger } = counter.counted()
      // Fewer only if the process changed its CPU: each CPU has a log of its own.
      assert.equal(flows.length, ledger.flowPackets)
      assert.equal(ledger.overflowPackets, 0)
      assert.equal(new Set(flows.map((flow) => formatAddress(flow.srcAddr))).size, 1024)
    })
  })

  it('tells when a flow began and how long it lasted', () => {
    withCounter({}, (counter) => {
      const { seconds, nanoseconds } = coarseClock()
      const frame = packet(ethernet(), ipv4(), udp())
      const began = { seconds: seconds - 30, nanoseconds }
      counter.maps.startEpoch(0, began)
      counter.run('flowdam_xdp', frame)
      const first = counter.counted().flows[0]
      assert.ok(first && first.firstMs >= 30_000 && first.firstMs < 31_000, `${first?.firstMs}`)
      assert.equal(first.durationMs, 0)
      counter.maps.startEpoch(0, { ...began, seconds: began.seconds - 12 })
      counter.run('flowdam_xdp', frame)
      const later = counter.counted().flows[0]
      assert.ok(later && later.durationMs >= 12_000 && later.durationMs < 13_000, `${later?.durationMs}`)
      counter.maps.startEpoch(0, { ...began, seconds: began.seconds - 100 })
      counter.run('flowdam_xdp', frame)
      assert.equal(counter.counted().flows[0]?.durationMs, 65_535)
    })
  })

  it('counts a packet that comes before the epoch begins, by the coarse clock, at 0 ms', () => {
    withCounter({}, (counter) => {
      const { seconds, nanoseconds } = coarseClock()
      counter.maps.startEpoch(0, { seconds: seconds + 5, nanoseconds })
      counter.run('flowdam_xdp', packet(ethernet(), ipv4(), udp()))
      assert.equal(counter.counted().flows[0]?.firstMs, 0)
    })
  })

  it('counts each epoch by itself, and takes a slot again as if nothing had been in it', () => {
    withCounter({}, (counter) => {
      counter.run('flowdam_xdp', packet(ethernet(), ipv4(), tcp({ flags: 0xff }), payload(1000)), {
        repeat: 5,
      })
      const old = counter.flip()
      counter.run('flowdam_xdp', packet(ethernet(), ipv4(), udp()))
      assert.equal(counter.counted(old).flows[0]?.packets, 5)
      assert.equal(counter.counted().flows[0]?.packets, 1)
      counter.clear(old)
      counter.flip()
      assert.deepEqual(counter.counted().flows, [])
      counter.run('flowdam_xdp', packet(ethernet(), ipv4(), icmp()))
      assertPartly(counter.counted().flows[0], {
        packets: 1,
        bytes: 28,
        tcpFlags: 0,
        protocol: 1,
      })
    })
  })

  it('keeps ingress and egress apart', () => {
    withCounter({}, (counter) => {
      const frame = packet(ethernet(), ipv4(), udp())
      counter.run('flowdam_xdp', frame)
      counter.run('flowdam_tc', frame)
      const ifaces = counter.counted().flows.map((flow) => flow.iface)
      assert.deepEqual(
        ifaces.sort((a, b) => a - b),
        [IFACE, IFACE | IFACE_EGRESS],
      )
    })
  })

  it('counts what comes from an unknown interface under a number of its own', () => {
    withCounter({}, (counter) => {
      counter.maps.control.fill(0, 16)
      counter.run('flowdam_xdp', packet(ethernet(), ipv4(), udp()))
      assert.equal(counter.counted().flows[0]?.iface, IFACE_UNKNOWN)
    })
  })
})

describe('overflow', () => {
  it('keeps every victim exact when the log is full, by class: SYN, other TCP, UDP, fragments', () => {
    withCounter({ flowSlots: 256, occupied: 192 }, (counter) => {
      for (let n = 0; n < 500; n++) counter.run('flowdam_xdp', spoofed(n, icmp()))
      const before = counter.counted()
      // One by one: with repeat the kernel waits for a grace period first.
      const run = (frame: Buffer, times: number) => {
        for (let i = 0; i < times; i++) counter.run('flowdam_xdp', frame)
      }
      for (let n = 500; n < 800; n++) {
        run(spoofed(n, tcp({ flags: 2 })), 2)
        run(spoofed(n, tcp({ flags: 0x12 })), 1)
        run(spoofed(n, tcp({ flags: 0x10 }), payload(10)), 1)
        run(spoofed(n, udp(), payload(100)), 3)
        run(
          packet(
            ethernet(),
            ipv4({ src: `10.9.${n >> 8}.${n & 255}`, protocol: 17, fragmentOffset: 5 }),
            payload(64),
          ),
          1,
        )
      }
      const { overflow, flows, reasons, ledger } = counter.counted()
      assert.equal(flows.length, before.flows.length)
      assert.ok(ledger.overflowPackets >= 300 * 8)
      const tcpUdp = overflow.filter((record) => record.protocol !== 1)
      for (const record of tcpUdp) {
        assert.equal(formatAddress(record.dstAddr), '203.0.113.5')
        assert.deepEqual(record.srcAddr, new Uint8Array(16))
        assertPartly(record, { srcPort: 0, dstPort: 0, iface: IFACE, vlan: 0 })
      }
      const sums = sumBy(tcpUdp, ({ protocol, tcpFlags, marks }) => `${protocol} ${tcpFlags} ${marks}`)
      assert.deepEqual(sums, {
        [`6 2 ${Mark.overflow}`]: { packets: 600, bytes: 600 * 40 },
        [`6 18 ${Mark.overflow}`]: { packets: 600, bytes: 300 * 40 + 300 * 50 },
        [`17 0 ${Mark.overflow}`]: { packets: 900, bytes: 900 * 128 },
        [`17 0 ${Mark.overflow | Mark.fragment}`]: { packets: 300, bytes: 300 * 84 },
      })
      assert.equal(reasons.log_full, ledger.overflowPackets)
    })
  })

  it('goes by the source on egress', () => {
    withCounter({ flowSlots: 256, occupied: 192 }, (counter) => {
      for (let n = 0; n < 500; n++) {
        counter.run(
          'flowdam_tc',
          packet(ethernet(), ipv6({ src: '2001:db8::7', dst: `2001:db8:ffff::${n.toString(16)}` }), udp()),
        )
      }
      const { overflow } = counter.counted()
      const sums = sumBy(
        overflow,
        (record) => `${formatAddress(record.srcAddr)} ${formatAddress(record.dstAddr)}`,
      )
      assert.deepEqual(Object.keys(sums), ['2001:db8::7 ::'])
      assert.ok((sums['2001:db8::7 ::']?.packets ?? 0) >= 500 - 64 * counter.maps.geometry.nrCpus)
    })
  })

  it('has a last place, "other", for what finds none: 20 000 victims at once', () => {
    withCounter({ flowSlots: 256, occupied: 192 }, (counter) => {
      for (let n = 0; n < 20_000; n++) {
        counter.run('flowdam_xdp', packet(ethernet(), ipv4({ dst: `10.0.${n >> 8}.${n & 255}` }), udp()))
      }
      const { overflow, reasons, ledger } = counter.counted()
      const other = overflow.filter((record) => record.protocol === 0)
      assert.ok(other.length >= 1)
      assertPartly(other[0], { iface: IFACE, marks: Mark.overflow })
      const inOther = other.reduce((sum, record) => sum + record.packets, 0)
      assert.equal(inOther, reasons.overflow_full)
      assert.equal(
        inOther + overflow.filter((record) => record.protocol === 17).length,
        ledger.overflowPackets,
      )
    })
  })

  it('clears to nothing, "other" included', () => {
    withCounter({ cpus: 0 }, (counter) => {
      counter.run('flowdam_xdp', packet(ethernet(), ipv4(), udp()))
      assert.equal(counter.counted().overflow.length, 1)
      counter.clear()
      assert.deepEqual(counter.counted().overflow, [])
      assert.equal(counter.counted().ledger.seenPackets, 0)
    })
  })

  it('counts a CPU without a part of its own in "other", with the ledger exact', () => {
    withCounter({ cpus: 0 }, (counter) => {
      counter.run('flowdam_xdp', packet(ethernet(), ipv4(), udp(), payload(100)), { repeat: 7 })
      counter.run('flowdam_tc', packet(ethernet(), ipv6(), udp(), payload(100)), { repeat: 5 })
      counter.run('flowdam_xdp', packet(ethernet(0x0806), payload(28)), { repeat: 2 })
      const { flows, overflow, reasons, ledger } = counter.counted()
      assert.deepEqual(flows, [])
      assert.equal(reasons.stray_cpu, 12)
      assert.deepEqual([ledger.seenPackets, ledger.notIpPackets, ledger.overflowPackets], [14, 2, 12])
      const [ingress, egress, ...none] = [...overflow].sort(byPackets)
      assert.deepEqual(none, [])
      assertPartly(ingress, {
        packets: 7,
        bytes: 7 * 128,
        iface: IFACE,
        marks: Mark.overflow,
      })
      assertPartly(egress, { packets: 5, bytes: 5 * 148, iface: IFACE | IFACE_EGRESS })
    })
  })
})

describe('verdicts', () => {
  it('drops after counting on an interface in tap mode', () => {
    withCounter({ ifaceFlags: IfaceFlag.drop }, (counter) => {
      assert.equal(counter.run('flowdam_xdp', packet(ethernet(), ipv4(), udp())).retval, XDP_DROP)
      assert.equal(counter.run('flowdam_xdp_frags', packet(ethernet(0x0806), payload(28))).retval, XDP_DROP)
      const { ledger } = counter.counted()
      assert.deepEqual([ledger.flowPackets, ledger.notIpPackets, ledger.droppedPackets], [1, 1, 0])
    })
  })

  it('reads an interface without Ethernet from the IP header on', () => {
    withCounter({ ifaceFlags: IfaceFlag.layer3 }, (counter) => {
      counter.run('flowdam_xdp', packet(ipv6(), udp(), payload(100)))
      counter.run('flowdam_xdp', packet(ipv4(), udp(), payload(100)))
      counter.run('flowdam_xdp', Buffer.alloc(64, 0xff))
      const { flows, ledger } = counter.counted()
      assert.deepEqual(flows.map((flow) => flow.bytes).sort(), [128, 148])
      assert.deepEqual([ledger.notIpPackets, ledger.notIpBytes], [1, 64])
    })
  })
})

/** Nanoseconds of CLOCK_MONOTONIC, from now. */
function inSeconds(seconds: number): bigint {
  const now = coarseClock()
  return BigInt(now.seconds + seconds) * 1_000_000_000n + BigInt(now.nanoseconds)
}

function rule(expiresNs: bigint): Buffer {
  const value = Buffer.alloc(24)
  value.writeBigUInt64LE(expiresNs)
  return value
}

function prefixKey(length: number, address: Uint8Array): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(length)
  return Buffer.concat([head, address])
}

function setRule(counter: Counter, map: string, key: Uint8Array, expiresNs: bigint): void {
  assert.equal(mapUpdate(counter.object.map(map).fd, key, rule(expiresNs)), 0)
}

function ruleCounts(counter: Counter, map: string, key: Uint8Array): [bigint, bigint] {
  const value = Buffer.alloc(24)
  assert.equal(mapLookup(counter.object.map(map).fd, key, value), 0)
  return [value.readBigUInt64LE(8), value.readBigUInt64LE(16)]
}

describe('drop rules', () => {
  const to5 = packet(ethernet(), ipv4(), udp(), payload(100))
  const to6 = packet(ethernet(), ipv4({ dst: '203.0.113.6' }), udp(), payload(100))
  const v6 = packet(ethernet(), ipv6(), udp(), payload(100))

  it('drops an exact destination, counts it in the rule, in the ledger and in the flow', () => {
    withCounter({ dropRules: true }, (counter) => {
      const key = parseAddress('203.0.113.5')
      setRule(counter, 'drop_exact', key, inSeconds(60))
      assert.equal(counter.run('flowdam_xdp', to5, { repeat: 4 }).retval, XDP_DROP)
      assert.equal(counter.run('flowdam_xdp', to6).retval, XDP_PASS)
      assert.deepEqual(ruleCounts(counter, 'drop_exact', key), [4n, 4n * 128n])
      const { ledger, flows } = counter.counted()
      assert.deepEqual([ledger.droppedPackets, ledger.droppedBytes, ledger.flowPackets], [4, 512, 5])
      const dropped = flows.filter((flow) => flow.marks & Mark.dropped)
      assert.deepEqual(
        dropped.map((flow) => [formatAddress(flow.dstAddr), flow.packets]),
        [['203.0.113.5', 4]],
      )
    })
  })

  it('drops by prefix, both families, longest match', () => {
    withCounter({ dropRules: true }, (counter) => {
      const v4Key = prefixKey(24, parseAddress('203.0.113.0').subarray(12))
      const v6Key = prefixKey(48, parseAddress('2001:db8:5::'))
      setRule(counter, 'drop_v4', v4Key, 0n)
      setRule(counter, 'drop_v6', v6Key, inSeconds(60))
      // An expired rule for a longer prefix is the longest match: an exception within the /24.
      setRule(counter, 'drop_v4', prefixKey(32, parseAddress('203.0.113.6').subarray(12)), inSeconds(-1))
      assert.equal(counter.run('flowdam_xdp', to5).retval, XDP_DROP)
      assert.equal(counter.run('flowdam_xdp', to6).retval, XDP_PASS)
      assert.equal(counter.run('flowdam_xdp_frags', v6).retval, XDP_DROP)
      assert.equal(
        counter.run('flowdam_xdp', packet(ethernet(), ipv6({ dst: '2001:db8:6::5' }), udp())).retval,
        XDP_PASS,
      )
      assert.deepEqual(ruleCounts(counter, 'drop_v4', v4Key), [1n, 128n])
      assert.deepEqual(ruleCounts(counter, 'drop_v6', v6Key), [1n, 148n])
    })
  })

  it('goes by the source on egress', () => {
    withCounter({ dropRules: true }, (counter) => {
      setRule(counter, 'drop_exact', parseAddress('192.0.2.1'), 0n)
      assert.equal(counter.run('flowdam_tc', to5).retval, TC_SHOT)
      assert.equal(counter.run('flowdam_xdp', to5).retval, XDP_PASS)
    })
  })

  it('drops nothing once the rule has expired, whoever is alive to take it away', () => {
    withCounter({ dropRules: true }, (counter) => {
      setRule(counter, 'drop_exact', parseAddress('203.0.113.5'), inSeconds(-1))
      assert.equal(counter.run('flowdam_xdp', to5).retval, XDP_PASS)
      assert.equal(counter.counted().ledger.droppedPackets, 0)
    })
  })

  it('looks up no rule unless configured', () => {
    withCounter({ dropRules: false }, (counter) => {
      setRule(counter, 'drop_exact', parseAddress('203.0.113.5'), 0n)
      assert.equal(counter.run('flowdam_xdp', to5).retval, XDP_PASS)
    })
  })
})

function sumBy(records: readonly FlowRecord[], key: (record: FlowRecord) => string) {
  const sums: Record<string, { packets: number; bytes: number }> = {}
  for (const record of records) {
    const name = key(record)
    const sum = sums[name] ?? { packets: 0, bytes: 0 }
    sum.packets += record.packets
    sum.bytes += record.bytes
    sums[name] = sum
  }
  return sums
}
