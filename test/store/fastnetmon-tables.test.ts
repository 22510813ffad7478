// SPDX-License-Identifier: Apache-2.0
//
// FastNetMon's metric tables in the embedded store, from the detector's own sums.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Detector } from '@flowdam/aggregator/internal/detect/detector'
import { PolicySet } from '@flowdam/aggregator/internal/detect/policies'
import { DropCounter } from '@flowdam/aggregator/internal/drops'
import { MetricWriter } from '@flowdam/aggregator/internal/fastnetmon/metric-writer'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import { delta, hostDeltas } from '@flowdam/aggregator/internal/testing/delta-agent'
import { quietLog } from '@flowdam/aggregator/internal/testing/quiet-log'
import { parsePrefix } from '@flowdam/common'

const LIMITS = { timeoutMs: 30_000, maxMemoryBytes: 1e9 }
const SIDES = ['incoming', 'outgoing']
const BOTH = ['tcp', 'udp', 'icmp', 'fragmented', 'tcp_syn'].flatMap((kind) =>
  ['packets', 'bits'].flatMap((unit) => SIDES.map((side) => `${kind}_${unit}_${side}`)),
)
const PAIRS = ['packets', 'bits'].flatMap((unit) => SIDES.map((side) => `${unit}_${side}`))
const TOTAL = ['tcp', 'udp', 'icmp', 'fragmented', 'tcp_syn', 'dropped'].flatMap((kind) => [
  `${kind}_packets`,
  `${kind}_bits`,
])
const EDGES = ['metricDate', 'metricDateTime', 'schema_version']
/** From FastNetMon's CREATE TABLE statements. */
const COLUMNS: Record<string, string[]> = {
  host_metrics: ['host', ...PAIRS, 'flows_incoming', 'flows_outgoing', ...BOTH],
  host_metrics_ipv6: ['host', ...PAIRS, 'flows_incoming', 'flows_outgoing', ...BOTH],
  network_metrics: ['network', ...PAIRS, ...BOTH],
  network_metrics_ipv6: ['network', ...PAIRS, ...BOTH],
  total_metrics: ['direction', 'flows', 'packets', 'bits', ...TOTAL],
  total_metrics_ipv4: ['direction', 'flows', 'packets', 'bits', ...TOTAL],
  total_metrics_ipv6: ['direction', 'flows', 'packets', 'bits', ...TOTAL],
}

describe('the tables of FastNetMon', { timeout: 800_000 }, () => {
  const path = mkdtempSync(join(tmpdir(), 'flowdam-fastnetmon-'))
  const engine = new EmbeddedEngine({ path, memoryBytes: 2e9, log: quietLog() })
  const networks = ['203.0.113.0/24', '198.51.100.0/24', '2001:db8::/32'].map(parsePrefix)
  const drops = new DropCounter()
  let now = 10_000
  const detector = new Detector({
    policies: new PolicySet({ networks, thresholds: { window: 1000 }, hostgroups: [] }),
    clock: () => now,
    onDetection: () => undefined,
  })
  const store = { isReady: false, engine }
  const writer = new MetricWriter({
    store,
    database: 'fastnetmon',
    cluster: undefined,
    intervalMs: 10_000,
    networks: () => networks,
    hosts: () => detector.hosts(),
    drops,
    log: quietLog(),
  })
  const ask = (sql: string) => engine.query<Record<string, string | number>>(sql, {}, LIMITS)
  const amounts = async (sql: string) =>
    (await ask(sql)).map((row) =>
      Object.values(row).map((value) => (Number.isNaN(Number(value)) ? value : Number(value))),
    )
  /** A second of the same traffic in ten messages. */
  const second = (entries: Parameters<typeof hostDeltas>[2]) => {
    for (let i = 1; i <= 10; i++) {
      now += 100
      detector.onHostDeltas('edge1', hostDeltas(now, 100, entries, 0), 0)
    }
  }

  before(() => engine.start())
  after(async () => {
    await engine.stop()
    rmSync(path, { recursive: true })
  })

  it('count what cannot be written while there is no store', async () => {
    second([delta('203.0.113.5', 100, 100_000)])
    await writer.write(Date.now())
    assert.ok(drops.get('store', 'fastnetmon_tables') >= 1)
    store.isReady = true
  })

  it('have its columns, and what the detector has', async () => {
    second([
      delta('203.0.113.5', 100, 100_000),
      delta('203.0.113.6', 50, 5000),
      delta('2001:db8::5', 10, 1000),
    ])
    const before = Math.floor(Date.now() / 1000)
    await writer.write(Date.now())
    for (const [table, names] of Object.entries(COLUMNS)) {
      const rows = await ask(
        `SELECT name FROM system.columns WHERE database = 'fastnetmon' AND table = '${table}' ORDER BY name`,
      )
      assert.deepEqual(
        rows.map(({ name }) => name),
        [...EDGES, ...names].sort(),
      )
    }
    const pairs = 'packets_incoming, bits_incoming, packets_outgoing, udp_packets_incoming'
    assert.deepEqual(await amounts(`SELECT host, ${pairs} FROM fastnetmon.host_metrics ORDER BY host`), [
      ['203.0.113.5', 1000, 8_000_000, 0, 1000],
      ['203.0.113.6', 500, 400_000, 0, 500],
    ])
    assert.deepEqual(await amounts(`SELECT host, ${pairs} FROM fastnetmon.host_metrics_ipv6`), [
      ['2001:db8::5', 100, 80_000, 0, 100],
    ])
    assert.deepEqual(await amounts(`SELECT network, ${pairs} FROM fastnetmon.network_metrics`), [
      ['203.0.113.0/24', 1500, 8_400_000, 0, 1500],
    ])
    assert.deepEqual(await amounts(`SELECT network, ${pairs} FROM fastnetmon.network_metrics_ipv6`), [
      ['2001:db8::/32', 100, 80_000, 0, 100],
    ])
    assert.deepEqual(
      await amounts(
        'SELECT direction, packets, bits, udp_packets FROM fastnetmon.total_metrics ORDER BY direction',
      ),
      [
        ['incoming', 1600, 8_480_000, 1600],
        ['internal', 0, 0, 0],
        ['other', 0, 0, 0],
        ['outgoing', 0, 0, 0],
      ],
    )
    assert.deepEqual(
      await amounts("SELECT packets FROM fastnetmon.total_metrics_ipv6 WHERE direction = 'incoming'"),
      [[100]],
    )
    const [time] = await ask(
      'SELECT toUnixTimestamp(metricDateTime) AS at, metricDate = toDate(metricDateTime) AS sameDay FROM fastnetmon.host_metrics LIMIT 1',
    )
    assert.ok(Number(time?.['at']) >= before && Number(time?.['at']) <= Date.now() / 1000)
    assert.equal(Number(time?.['sameDay']), 1)
  })

  it('leave out who has no traffic any more', async () => {
    for (let i = 0; i < 3; i++) second([delta('198.51.100.7', 1, 60)])
    await engine.command('TRUNCATE TABLE fastnetmon.host_metrics')
    await writer.write(Date.now())
    assert.deepEqual(await amounts('SELECT host FROM fastnetmon.host_metrics'), [['198.51.100.7']])
  })
})
