// SPDX-License-Identifier: Apache-2.0
//
// Several aggregators bring one database to the newest version at a time, over HTTP; and what is made for a cluster is
// understood by ClickHouse's own parser, as nothing here can run it.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fastnetmonStatements } from '@flowdam/aggregator/internal/fastnetmon/tables'
import { ClickHouseEngine } from '@flowdam/aggregator/internal/store/clickhouse/engine'
import { MIGRATIONS, migrate, SCHEMA_DEFAULTS } from '@flowdam/aggregator/internal/store/schema'
import { ModernServer } from './faults/modern-server.js'

const ROUNDS = 5
const AT_ONCE = 4

describe('migrations', { timeout: 800_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-migrations-'))
  const server = new ModernServer(folder)
  before(() => server.start())
  after(async () => {
    await server.kill()
    rmSync(folder, { recursive: true })
  })

  const engineOf = (database: string) =>
    new ClickHouseEngine({
      url: `http://127.0.0.1:${server.port}`,
      database,
      user: 'default',
      password: '',
      timeoutMs: 30_000,
    })
  const tables = (database: string) =>
    server.query<{ name: string; ddl: string }>(
      `SELECT name, replaceAll(create_table_query, '${database}.', '') AS ddl FROM system.tables WHERE database = '${database}' ORDER BY name`,
    )

  it('of several aggregators at once end as those of one', async () => {
    const alone = engineOf('alone')
    await alone.start()
    await migrate(alone, SCHEMA_DEFAULTS)
    await alone.stop()
    const expected = await tables('alone')
    assert.ok(expected.some(({ name }) => name === 'host_hours'))
    for (let round = 0; round < ROUNDS; round++) {
      const database = `together${round}`
      const engines = Array.from({ length: AT_ONCE }, () => engineOf(database))
      await Promise.all(engines.map((engine) => engine.start()))
      await Promise.all(engines.map((engine) => migrate(engine, SCHEMA_DEFAULTS)))
      assert.deepEqual(await tables(database), expected)
      const versions = await server.query<{ version: number }>(
        `SELECT DISTINCT version FROM ${database}.migrations ORDER BY version`,
      )
      assert.deepEqual(
        versions.map(({ version }) => Number(version)),
        MIGRATIONS.map(({ version }) => version),
      )
      await Promise.all(engines.map((engine) => engine.stop()))
    }
  })

  it('run once: a second start changes nothing', async () => {
    const before = await server.query(`SELECT * FROM together0.migrations ORDER BY ALL`)
    const engine = engineOf('together0')
    await engine.start()
    await migrate(engine, SCHEMA_DEFAULTS)
    await engine.stop()
    assert.deepEqual(await server.query(`SELECT * FROM together0.migrations ORDER BY ALL`), before)
  })

  it('for a cluster are statements that ClickHouse reads', async () => {
    const place = { database: 'flowdam', cluster: 'edge' }
    const statements = [
      ...MIGRATIONS.flatMap(({ statements: of }) => of(place, { ...SCHEMA_DEFAULTS, cluster: 'edge' })),
      ...fastnetmonStatements(place),
    ]
    for (const sql of statements) {
      const quoted = `'${sql.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
      const [row] = await server.query<{ text: string }>(`SELECT formatQuery(${quoted}) AS text`)
      assert.match(row?.text ?? '', /ON CLUSTER '?edge/, sql)
    }
    const made = statements.join('\n')
    assert.match(made, /ENGINE = ReplicatedMergeTree\(/)
    assert.match(made, /ENGINE = Distributed\('edge', flowdam, flows_local/)
    await assert.rejects(server.query("SELECT formatQuery('CREATE TABLE x ON CLUSTER (')"))
  })

  it('show flows with the columns that FastNetMon’s users know', async () => {
    const columns = await server.query<{ name: string }>(
      "SELECT name FROM system.columns WHERE database = 'together0' AND table = 'fastnetmon_flows' ORDER BY position",
    )
    assert.deepEqual(
      columns.map(({ name }) => name),
      ['timestamp', 'src_ip', 'dst_ip', 'src_port', 'dst_port', 'protocol', 'packets', 'bytes', 'vlan_id'],
    )
  })
})
