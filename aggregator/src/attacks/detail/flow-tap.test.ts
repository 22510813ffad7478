// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseAddress, parsePrefix } from '@flowdam/common'
import { encodeRecord, type FlowBatch, RECORD_SIZE } from '@flowdam/proto'
import type { BatchOrigin } from '../../contracts.js'
import type { Source, SourceRegistry } from '../../sources/registry.js'
import { notingSink } from '../../testing/sinks.js'
import type { Attack } from '../attack.js'
import { FlowTap } from './flow-tap.js'

const EPOCH = 1_000_000
const attack = { id: 'a', target: '203.0.113.9', direction: 'incoming', startedUnixMs: EPOCH } as Attack
const origin: BatchOrigin = {
  id: 'edge1',
  sourceOfIface: Uint16Array.from({ length: 256 }, (_, iface) => (iface === 3 ? 2 : 1)),
  learnIface: () => {},
  clockSkewMs: 0,
}
const sources = {
  get: (number: number) => ({ boundary: number === 2 ? 'internal' : 'external' }) as Source,
} as SourceRegistry

function batch(seq: number, iface = 0): FlowBatch {
  const records = Buffer.alloc(RECORD_SIZE)
  const ends = { srcAddr: parseAddress('8.8.4.4'), dstAddr: parseAddress('203.0.113.9') }
  const ports = { srcPort: 53, dstPort: 4000, protocol: 17, iface, vlan: 0 }
  const counts = { bytes: 100, packets: 1, firstMs: 5, durationMs: 0 }
  encodeRecord({ ...ends, ...ports, ...counts, source: 0, tcpFlags: 0, dscp: 0, marks: 0, ttl: 57 }, records)
  return {
    bootId: 1,
    seq,
    epochStartUnixMs: EPOCH,
    epochMs: 1000,
    records,
    ledgers: [],
  } as unknown as FlowBatch
}

function newTap(durable = 0) {
  const passed: number[] = []
  const sink = notingSink(passed, durable)
  return { tap: new FlowTap(sink, sources, () => [parsePrefix('203.0.113.9')]), passed }
}

describe('flows on their way to the spool', () => {
  it('are counted for an attack once, however often an agent sends them, and all passed on', async () => {
    const { tap, passed } = newTap()
    await tap.append(origin, batch(1))
    tap.follow(attack)
    assert.equal(tap.detail(attack), undefined, 'before the attack')
    for (const seq of [2, 3, 2, 3, 4]) await tap.append(origin, batch(seq))
    assert.equal(tap.detail(attack)?.flows, 3)
    assert.deepEqual(passed, [1, 2, 3, 2, 3, 4])
    tap.forget(attack)
    await tap.append(origin, batch(5))
    assert.equal(tap.detail(attack), undefined)
  })

  it('that a former process has counted are not counted again, and go on from what it knew', async () => {
    const { tap } = newTap(7)
    const known = newTap().tap
    known.follow(attack)
    await known.append(origin, batch(7))
    tap.follow({ ...attack, detail: known.detail(attack) } as Attack)
    for (const seq of [6, 7, 8]) await tap.append(origin, batch(seq))
    assert.equal(tap.detail(attack)?.flows, 2)
  })

  it('of internal interfaces are not counted: they were seen at the border', async () => {
    const { tap } = newTap()
    tap.follow(attack)
    await tap.append(origin, batch(1, 3))
    assert.equal(tap.detail(attack), undefined)
  })
})
