// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { contains, parseAddress, parsePrefix } from '@flowdam/common'
import {
  decodeRecord,
  encodeRecord,
  type Flow,
  type FlowBatch,
  type FlowRecord,
  RECORD_SIZE,
  type WatchFlowsResponse,
} from '@flowdam/proto'
import fc from 'fast-check'
import type { BatchOrigin } from '../../contracts.js'
import type { Source } from '../../sources/registry.js'
import { until } from '../../testing/daemon.js'
import { makeRecords } from '../../testing/records.js'
import { notingSink } from '../../testing/sinks.js'
import { LiveFlows } from './live-flows.js'
import { type FlowFilter, Matcher } from './matcher.js'

const ALL: FlowFilter = { host: '', src: '', dst: '', protocol: 0, port: 0, agent: '' }
const EPOCH = Date.now() - 5000
const edge1 = originOf('edge1')

function originOf(id: string): BatchOrigin {
  return {
    id,
    sourceOfIface: Uint16Array.from({ length: 256 }, (_, iface) => (iface === 9 ? 0 : 1)),
    learnIface: () => {},
    clockSkewMs: 0,
  }
}

function batchOf(seq: number, records: Uint8Array): FlowBatch {
  return {
    bootId: 1,
    seq,
    epochStartUnixMs: EPOCH,
    epochMs: 5000,
    records,
    ledgers: [],
  } as unknown as FlowBatch
}

function recordsOf(...fields: Partial<FlowRecord>[]): Uint8Array {
  const records = new Uint8Array(fields.length * RECORD_SIZE)
  const some: FlowRecord = {
    srcAddr: parseAddress('198.51.100.7'),
    dstAddr: parseAddress('203.0.113.5'),
    ...{ srcPort: 53, dstPort: 4444, protocol: 17, iface: 0, vlan: 7, bytes: 3e9, packets: 2e6 },
    ...{ firstMs: 1500, durationMs: 20, source: 0, tcpFlags: 0, dscp: 46, marks: 1, ttl: 57 },
  }
  fields.forEach((one, index) => {
    encodeRecord({ ...some, ...one }, records, index * RECORD_SIZE)
  })
  return records
}

function newLive(durable = 0) {
  const passed: number[] = []
  const sink = notingSink(passed, durable)
  const sources = { get: (number: number) => (number === 1 ? ({ interface: 'eth0' } as Source) : undefined) }
  return { live: new LiveFlows(sink, sources), passed }
}

/** A watcher that takes everything at once. */
function quick(live: LiveFlows, filter: Partial<FlowFilter> = {}, by = 'local') {
  const seen: WatchFlowsResponse[] = []
  const stop = live.watch({ ...ALL, ...filter }, by, async (response) => void seen.push(response))
  return {
    stop,
    seen,
    flows: () => seen.flatMap(({ flows }) => flows),
    missed: () => seen.reduce((sum, { missed }) => sum + missed, 0),
  }
}

describe('flows as they arrive', { timeout: 300_000 }, () => {
  it('come as the store will have them, behind a first message that says that the watch has begun', async () => {
    const { live, passed } = newLive()
    const watcher = quick(live)
    assert.deepEqual(watcher.seen, [{ flows: [], missed: 0 }])
    await live.append(edge1, batchOf(1, recordsOf({}, { iface: 0x80, firstMs: 4e9 }, { iface: 9 })))
    await until('the flows', () => watcher.flows().length === 3)
    watcher.stop()
    const [flow, late, unnamed] = watcher.flows()
    assert.deepEqual(flow, {
      timeUnixMs: EPOCH + 1500,
      agent: 'edge1',
      interface: 'eth0',
      direction: 'ingress',
      srcAddr: '198.51.100.7',
      dstAddr: '203.0.113.5',
      ...{ srcPort: 53, dstPort: 4444, protocol: 17, vlan: 7, bytes: 3e9, packets: 2e6 },
      ...{ durationMs: 20, tcpFlags: 0, dscp: 46, marks: 1, ttl: 57 },
    } satisfies Flow)
    // No record chooses its day: as in the spool, its time is held to the epoch's end.
    assert.equal(late?.timeUnixMs, EPOCH + 61_000)
    assert.deepEqual([late?.interface, late?.direction], ['eth0', 'egress'])
    assert.equal(unnamed?.interface, '#9')
    assert.deepEqual(passed, [1])
  })

  it('come once, however often an agent sends them, and not after the watch has ended', async () => {
    const { live, passed } = newLive(7)
    const watcher = quick(live)
    for (const seq of [6, 7, 8, 8, 9, 8]) await live.append(edge1, batchOf(seq, recordsOf({})))
    await live.append(originOf('edge2'), batchOf(8, recordsOf({})))
    await until('the flows', () => watcher.flows().length >= 3)
    watcher.stop()
    await live.append(edge1, batchOf(10, recordsOf({})))
    assert.deepEqual(
      watcher.flows().map(({ agent }) => agent),
      ['edge1', 'edge1', 'edge2'],
    )
    assert.deepEqual(passed, [6, 7, 8, 8, 9, 8, 8, 10])
    assert.equal(live.watchers, 0)
  })

  it('are given or counted as missed, each to each watcher, while one reads and one does not', async () => {
    const { live } = newLive()
    const reader = quick(live, { protocol: 6 })
    let takes = 0
    let release = () => {}
    let slowSeen: WatchFlowsResponse[] = []
    live.watch(ALL, 'local', (response) => {
      takes++
      slowSeen = [...slowSeen, response]
      return takes === 1 ? Promise.resolve() : new Promise((resolve) => (release = resolve))
    })
    let matching = 0
    for (let seq = 1; seq <= 40; seq++) {
      // Askew, as a protobuf decoder gives them.
      const askew = Buffer.alloc(500 * RECORD_SIZE + 1)
      const { records } = makeRecords(500, seq)
      askew.set(records, 1)
      for (let i = 0; i < 500; i++) if (decodeRecord(records, i * RECORD_SIZE).protocol === 6) matching++
      await live.append(edge1, batchOf(seq, askew.subarray(1)))
      if (seq === 20) await until('the slow one to be given something', () => takes === 2)
    }
    const total = () => reader.flows().length + reader.missed()
    await until('the reader to know of all', () => total() >= matching)
    assert.equal(total(), matching)
    assert.ok(reader.missed() > 0 && reader.flows().every(({ protocol }) => protocol === 6))
    assert.equal(takes, 2, 'nothing more while it has not taken what it was given')
    release()
    await until('the slow one to be told', () => takes === 3)
    const slow = slowSeen.map(({ flows, missed }) => flows.length + missed)
    assert.equal(
      slow.reduce((sum, count) => sum + count, 0),
      20_000,
    )
    assert.ok(slowSeen.every(({ flows }) => flows.length <= 200))
    assert.equal(live.sent + live.missed, matching + 20_000)
    reader.stop()
  })

  it('are for so many watchers and no more, and half of them for one caller', () => {
    const { live } = newLive()
    const mine = Array.from({ length: 8 }, () => quick(live, {}, 'token:noc'))
    const busy = { code: 'FD_FLOW_WATCHES', retryAfterMs: 5000 }
    assert.throws(() => quick(live, {}, 'token:noc'), { ...busy, message: /8 of one caller/ })
    const others = Array.from({ length: 8 }, (_, i) => quick(live, {}, `token:${i}`))
    assert.throws(() => quick(live, {}, 'token:another'), { ...busy, message: /16 there may be/ })
    mine[0]?.stop()
    quick(live, {}, 'token:another').stop()
    for (const { stop } of [...mine, ...others]) stop()
    assert.equal(live.watchers, 0)
  })

  it('are refused with the field that is wrong', () => {
    const { live } = newLive()
    for (const [field, value] of [
      ['host', '203.0.113'],
      ['src', 'nobody'],
      ['dst', '::/129'],
      ['protocol', 256],
      ['port', 65_536],
    ] as const) {
      assert.throws(() => quick(live, { [field]: value }), { code: 'FD_QUERY_INVALID', field })
    }
    assert.equal(live.watchers, 0)
  })
})

describe('what a watcher wants', () => {
  const addresses = ['203.0.113.5', '203.0.113.6', '203.0.114.5', '2001:db8::5', '2001:db8:0:1::5', '::5']
  const prefixes = [
    '',
    '203.0.113.5',
    '203.0.113.4/31',
    '203.0.112.0/21',
    '0.0.0.0/0',
    '::/0',
    '2001:db8::/64',
  ]
  const anyOf = <T>(values: readonly T[]) => fc.constantFrom(...values)

  it('is what the same words mean one by one', () => {
    const record = fc.record({
      srcAddr: anyOf(addresses).map(parseAddress),
      dstAddr: anyOf(addresses).map(parseAddress),
      srcPort: anyOf([0, 53, 443, 65_535]),
      dstPort: anyOf([0, 53, 443, 65_535]),
      protocol: anyOf([1, 6, 17]),
    })
    const filter = fc.record({
      host: anyOf(prefixes),
      src: anyOf(prefixes),
      dst: anyOf(prefixes),
      protocol: anyOf([0, 6, 17]),
      port: anyOf([0, 53, 65_535]),
    })
    const lies = (text: string, bytes: Uint8Array) =>
      contains(parsePrefix(text), { bytes, length: 128, text: '' })
    fc.assert(
      fc.property(record, filter, (one, { host, src, dst, protocol, port }) => {
        const wanted =
          (src === '' || lies(src, one.srcAddr)) &&
          (dst === '' || lies(dst, one.dstAddr)) &&
          (host === '' || lies(host, one.srcAddr) || lies(host, one.dstAddr)) &&
          (protocol === 0 || protocol === one.protocol) &&
          (port === 0 || port === one.srcPort || port === one.dstPort)
        const matcher = new Matcher({ host, src, dst, protocol, port, agent: '' })
        const words = new Uint32Array(recordsOf({}, one, {}).buffer)
        assert.equal(matcher.next(words, 1, 2), wanted ? 1 : 2)
      }),
      { numRuns: 3000 },
    )
  })
})
