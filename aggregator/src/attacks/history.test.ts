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
import { type AttackStore, attackRow, findSources, storedAttacks } from './history.js'

const NOW = Date.now()
const sqlTime = (ms: number) => new Date(ms).toISOString().slice(0, 23).replace('T', ' ')

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
  peak: { pps: 5000, bps: 1e6, flows: 3 },
  now: { pps: 5000, bps: 1e6, flows: 3 },
  packets: 5,
  bytes: 600,
  startedUnixMs: NOW - 2000,
  lastSeenUnixMs: NOW,
  endedUnixMs: NOW,
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
    assert.deepEqual(await storedAttacks(store, 10), [attack])
    assert.deepEqual(await storedAttacks(store, 1, attack.id), [attack])
    assert.deepEqual(await storedAttacks(store, 1, 'another'), [])
    assert.deepEqual(await storedAttacks({ ...store, isReady: false }, 10), [])
  })

  it('its sources are those of the stored flows to the victim, while it lasted', async () => {
    assert.equal(await findSources(store, attack), undefined, 'no flows yet')
    const flow = (src: string, dst: string, port: number, packets: number, time = NOW - 1000) => ({
      time: sqlTime(time),
      boundary: 'external',
      src_addr: src,
      dst_addr: dst,
      src_port: port,
      protocol: 17,
      packets,
      bytes: packets * 100,
    })
    const victim = '::ffff:203.0.113.9'
    await engine.insertRows('flows', [
      flow('::ffff:198.51.100.5', victim, 53, 10),
      flow('::ffff:198.51.100.6', victim, 53, 25),
      flow('2001:db8:77:1::5', victim, 123, 30),
      flow('::ffff:192.0.2.1', '::ffff:203.0.113.10', 53, 999),
      flow('::ffff:192.0.2.1', victim, 53, 999, NOW - 60_000),
      { ...flow('::ffff:192.0.2.1', victim, 53, 999), boundary: 'internal' },
    ])
    const share = (name: string, packets: number) => ({ name, packets, bytes: packets * 100 })
    assert.deepEqual(await findSources(store, attack), {
      addresses: [share('2001:db8:77:1::5', 30), share('198.51.100.6', 25), share('198.51.100.5', 10)],
      prefixes: [share('198.51.100.0/24', 35), share('2001:db8:77::/48', 30)],
      ports: [share('53', 35), share('123', 30)],
      distinct: 3,
    })
    const whole: Attack = { ...attack, scope: 'prefix', target: '203.0.113.0/24' }
    assert.equal((await findSources(store, whole))?.addresses[0]?.name, '192.0.2.1')
  })
})
