// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { contains, formatAddress, parseAddress, parsePrefix } from '@flowdam/common'
import { DELTA_SIZE, encodeDelta, type HostDelta } from '@flowdam/proto'
import fc from 'fast-check'
import { Counters, type CountersOptions } from './counters.js'
import { PolicySet } from './policies.js'
import { Slice } from './slice.js'
import { SlicePool } from './slice-pool.js'
import { addToSlots, DIRECTION_SLOTS, ROW_SLOTS } from './slots.js'
import { WINDOW_SLACK } from './window.js'

const policies = new PolicySet({
  networks: [parsePrefix('203.0.113.0/24'), parsePrefix('2001:db8::/32')],
  thresholds: {
    incoming: { dns_pps: 1 },
    carpet: { 'ipv4/24': { incoming: { pps: 1 } }, 'ipv6/48': { incoming: { ntp_bps: 1 } } },
    total: { incoming: { pps: 1 } },
  },
  hostgroups: [
    { name: 'web', prefixes: [parsePrefix('203.0.113.0/28')], window: 250 },
    { name: 'six', prefixes: [parsePrefix('2001:db8::/48')], window: 3000 },
  ],
})
const roomy: CountersOptions = { maxAddresses: 64, maxEntries: 1_000_000, idleMs: 2000 }

const address = fc.constantFrom(
  ...['203.0.113.1', '203.0.113.2', '203.0.113.200', '2001:db8::1', '2001:db8:1::1', '198.51.100.1'].map(
    parseAddress,
  ),
)
const entry: fc.Arbitrary<HostDelta> = fc.record({
  addr: address,
  direction: fc.nat(1),
  class: fc.nat(5),
  marks: fc.nat(3),
  vector: fc.nat(3),
  flows: fc.nat(1000),
  packets: fc.nat(2 ** 33),
  bytes: fc.nat(2 ** 43),
})
const message = fc.record({
  /** Time since the message before; how late it comes; how much it covers. */
  pauseMs: fc.double({ min: 0, max: 400, noNaN: true }),
  lateMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1500, noNaN: true })),
  coversMs: fc.oneof(fc.constant(100), fc.double({ min: 0.1, max: 6000, noNaN: true })),
  entries: fc.array(entry, { maxLength: 8 }),
})

function encode(entries: readonly HostDelta[]): Uint8Array {
  // At an odd offset, as gRPC may hand it out.
  const buffer = new Uint8Array(3 + entries.length * DELTA_SIZE).subarray(3)
  for (const [i, delta] of entries.entries()) encodeDelta(delta, buffer, i * DELTA_SIZE)
  return buffer
}

/** What the window of this length should hold, from first principles. */
function naiveSums(
  history: { start: number; end: number; entries: readonly HostDelta[] }[],
  windowMs: number,
  now: number,
): Map<string, Float64Array> {
  const sums = new Map<string, Float64Array>()
  for (const { start, end, entries } of history) {
    if (Math.max(start, end - windowMs) < now - windowMs * (1 + WINDOW_SLACK)) continue
    const scale = end - start > windowMs ? windowMs / (end - start) : 1
    for (const delta of entries) {
      const text = formatAddress(delta.addr)
      if (text.startsWith('198.')) continue
      const row = sums.get(text) ?? new Float64Array(policies.layout.slots)
      sums.set(text, row)
      const packets = scale === 1 ? delta.packets : Math.round(delta.packets * scale)
      const bytes = scale === 1 ? delta.bytes : Math.round(delta.bytes * scale)
      const flows = scale === 1 ? delta.flows : Math.round(delta.flows * scale)
      addToSlots(row, delta.direction * DIRECTION_SLOTS, delta.class, delta.marks, packets, bytes, flows)
      const at = (policies.layout.vectorSlots[delta.vector] as number) + delta.direction * 2
      if (at < ROW_SLOTS) continue
      row[at] = (row[at] as number) + packets
      row[at + 1] = (row[at + 1] as number) + bytes
    }
  }
  return sums
}

function actualSums(counters: Counters, window: number): Map<string, Float64Array> {
  const from = counters.windows[window]
  if (!from) return new Map()
  const sums = new Map<string, Float64Array>()
  for (let row = 0; row < counters.table.highWater; row++) {
    const values = from.sums.slice(from.base(row), from.base(row) + policies.layout.slots)
    if (values.some((value) => value !== 0)) sums.set(formatAddress(counters.table.address(row)), values)
  }
  return sums
}

const withoutZero = (sums: Map<string, Float64Array>) =>
  new Map([...sums].filter(([, values]) => values.some((value) => value !== 0)).sort())

describe('window sums', () => {
  it('equal a naive recount exactly, for every window, at every moment', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 40 }), (messages) => {
        const counters = new Counters(policies, roomy)
        const pool = new SlicePool(1)
        const history: { start: number; end: number; entries: readonly HostDelta[] }[] = []
        let now = 1000
        for (const { pauseMs, lateMs, coversMs, entries } of messages) {
          now += pauseMs
          const end = now - lateMs
          history.push({ start: end - coversMs, end, entries })
          counters.add(
            new Slice(
              'edge1',
              { startMs: end - coversMs, endMs: end, share: 1 },
              encode(entries),
              undefined,
              undefined,
              pool,
            ),
            now,
          )
          for (const [index, windowMs] of policies.windowsMs.entries()) {
            const expected = naiveSums(history, windowMs, now)
            assert.deepEqual(
              new Map([...actualSums(counters, index)].sort()),
              withoutZero(expected),
              `window ${windowMs}`,
            )
            const sumOf = (member: (text: string) => boolean) => {
              const total = new Float64Array(policies.layout.slots)
              for (const [text, row] of expected) {
                if (!member(text)) continue
                for (const [slot, value] of row.entries()) total[slot] = (total[slot] ?? 0) + value
              }
              return total
            }
            const window = counters.windows[index]
            assert.deepEqual(
              window?.sumCells(counters.cells.all()),
              sumOf(() => true),
              'total',
            )
            for (const { name, prefix, cells } of counters.cells.aggregates()) {
              const inside = (text: string) => !prefix || contains(prefix, parsePrefix(text))
              assert.deepEqual(window?.sumCells(cells), sumOf(inside), name)
            }
            const web = sumOf((text) => contains(parsePrefix('203.0.113.0/28'), parsePrefix(text)))
            assert.deepEqual(window?.sumCells(counters.cells.cellsOfGroup(0)), web, 'hostgroup')
          }
        }
        // Long after the last packet nothing is left, not even a rounding error, and no row.
        now += 20_000
        counters.advance(now)
        counters.advance(now + roomy.idleMs)
        assert.equal(counters.table.size, 0)
        assert.equal(counters.heldEntries, 0)
        assert.deepEqual(
          [...counters.cells.aggregates()].map(({ name }) => name),
          ['total'],
        )
        for (const window of counters.windows) {
          for (let row = 0; row < counters.table.highWater; row++) {
            const base = window.base(row)
            assert.ok(window.sums.slice(base, base + policies.layout.slots).every((value) => value === 0))
          }
          assert.ok(window.cellSums.every((value) => value === 0))
        }
      }),
      { numRuns: 300 },
    )
  })

  it('stay within the table: idle rows go first, then new addresses are refused and counted', () => {
    const counters = new Counters(policies, { maxAddresses: 4, maxEntries: 1000, idleMs: 60_000 })
    const delta = (host: string): HostDelta => ({
      addr: parseAddress(host),
      direction: 0,
      class: 3,
      marks: 0,
      vector: 0,
      flows: 1,
      packets: 1,
      bytes: 100,
    })
    const send = (now: number, ...hosts: string[]) =>
      counters.add(
        new Slice(
          'edge1',
          { startMs: now - 100, endMs: now, share: 1 },
          encode(hosts.map(delta)),
          undefined,
          undefined,
        ),
        now,
      )
    send(1000, '203.0.113.1', '203.0.113.2', '203.0.113.3', '203.0.113.4')
    send(1100, '203.0.113.5', '203.0.113.5', '198.51.100.1')
    assert.deepEqual(counters.losses, {
      notProtected: 1,
      tableFull: 2,
      cutShort: 0,
      prefixesFull: 0,
      late: 0,
    })
    // .1 stays busy, the others fall idle: three places for new ones.
    send(5000, '203.0.113.1')
    send(5100, '203.0.113.6', '203.0.113.7', '203.0.113.8', '203.0.113.9')
    assert.equal(counters.losses.tableFull, 3)
    assert.equal(counters.table.size, 4)
    assert.notEqual(counters.table.find(new Uint32Array(parseAddress('203.0.113.1').buffer), 0), -1)
  })

  it('bound what the windows hold', () => {
    const counters = new Counters(policies, { ...roomy, maxEntries: 50 })
    const entries = Array.from({ length: 10 }, () => ({
      addr: parseAddress('203.0.113.200'),
      direction: 0,
      class: 3,
      marks: 0,
      vector: 0,
      flows: 1,
      packets: 1,
      bytes: 100,
    }))
    for (let i = 1; i <= 20; i++) {
      counters.add(
        new Slice(
          'edge1',
          { startMs: i * 10 - 10, endMs: i * 10, share: 1 },
          encode(entries),
          undefined,
          undefined,
        ),
        i * 10,
      )
    }
    assert.ok(counters.losses.cutShort > 0)
    const longest = counters.windows.at(-1)
    assert.ok([...(longest?.slices() ?? [])].length <= 20)
    counters.advance(100_000)
    assert.ok(longest)
    const base = longest.base(0)
    assert.ok(longest.sums.slice(base, base + policies.layout.slots).every((value) => value === 0))
  })
})
