// SPDX-License-Identifier: Apache-2.0
//
// Against the embedded database; no root.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { emptyMix } from '../detect/traffic.js'
import { EmbeddedEngine } from '../store/embedded/engine.js'
import type { QueryLimits, QueryParams } from '../store/engine.js'
import { migrate, SCHEMA_DEFAULTS } from '../store/schema.js'
import { quietLog } from '../testing/quiet-log.js'
import type { Attack } from './attack.js'
import { type AttackStore, attackRow, endAbandoned, storedAttacks } from './history.js'

const NOW = Date.now()

const attack: Attack = {
  id: '20261122T044905.000-9f3a1c',
  scope: 'host',
  target: '203.0.113.9',
  direction: 'incoming',
  type: 'udp_flood',
  traffic: 'udp_flood',
  hostgroup: 'web',
  metric: 'pps',
  threshold: 1000,
  value: 5000,
  rule: 'thresholds.incoming.pps',
  peak: { pps: 5000, bps: 1e6, flows: 3 },
  now: { pps: 5000, bps: 1e6, flows: 3 },
  packets: 5,
  bytes: 600,
  startedUnixMs: NOW - 2000,
  lastSeenUnixMs: NOW,
  endedUnixMs: NOW,
  endReason: '',
  bursts: 1,
  mix: emptyMix(),
  bans: ['a ban'],
}

describe('attacks and the store', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-attacks-'))
  const engine = new EmbeddedEngine({ path: folder, memoryBytes: 1e9, log: quietLog() })
  const store: AttackStore = {
    isReady: true,
    engine,
    query: <Row>(sql: string, params: QueryParams, limits: QueryLimits) =>
      engine.query<Row>(sql, params, limits),
  }
  before(async () => {
    await engine.start()
    await migrate(engine, { ...SCHEMA_DEFAULTS, retentionMs: 15 * 86_400_000 })
  })
  after(async () => {
    await engine.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('an attack comes back as it was written last', async () => {
    await engine.insertRows('attacks', [attackRow({ ...attack, endedUnixMs: 0 }, NOW - 1000)])
    await engine.insertRows('attacks', [attackRow(attack, NOW)])
    assert.deepEqual(await storedAttacks(store, { limit: 10 }), [attack])
    assert.deepEqual(await storedAttacks(store, { limit: 1, id: attack.id }), [attack])
    assert.deepEqual(await storedAttacks(store, { limit: 1, id: 'another' }), [])
    assert.deepEqual(await storedAttacks(store, { limit: 1, before: attack.id }), [])
    assert.deepEqual(await storedAttacks(store, { limit: 1, before: `${attack.id}~` }), [attack])
    assert.deepEqual(await storedAttacks({ ...store, isReady: false }, { limit: 10 }), [])
  })

  it('one that nobody follows any more is ended when it was seen last, others are left alone', async () => {
    const open = (id: string): Attack => ({ ...attack, id, endedUnixMs: 0, lastSeenUnixMs: NOW - 700_000 })
    await engine.insertRows('attacks', [
      attackRow(open('forgotten'), NOW - 700_000),
      attackRow(open('followed'), NOW - 5000),
    ])
    const record = (row: object) => engine.insertRows('attacks', [row])
    await endAbandoned({ ...store, isReady: false }, record, NOW)
    assert.equal((await storedAttacks(store, { limit: 1, id: 'forgotten' }))[0]?.endedUnixMs, 0)
    await endAbandoned(store, record, NOW)
    const [forgotten] = await storedAttacks(store, { limit: 1, id: 'forgotten' })
    assert.deepEqual([forgotten?.endedUnixMs, forgotten?.endReason], [NOW - 700_000, 'nobody saw its end'])
    assert.deepEqual(await storedAttacks(store, { limit: 1, id: 'followed' }), [open('followed')])
    assert.deepEqual(await storedAttacks(store, { limit: 1, id: attack.id }), [attack])
  })
})
