// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Engine } from './engine.js'
import { insertStatement } from './insert.js'
import { hourStatement, minutesStatement } from './rollup/statements.js'
import { MIGRATIONS, migrate, SCHEMA_DEFAULTS, type SchemaOptions } from './schema.js'

/** Remembers what it was told; its database is empty. */
function recorder(ddl: Record<string, string> = {}) {
  const commands: string[] = []
  const engine: Engine = {
    kind: 'clickhouse',
    database: 'flowdam',
    start: async () => undefined,
    stop: async () => undefined,
    command: async (sql) => void commands.push(sql),
    background: async (sql) => void commands.push(sql),
    query: async <Row>(_sql: string, params: object) => {
      const { table } = params as { table?: string }
      return (table === undefined ? [] : [{ ddl: ddl[table] ?? '' }]) as Row[]
    },
    insertRows: async () => undefined,
    allowMerges: async () => undefined,
    space: async () => undefined,
    load: async () => undefined,
  }
  return { engine, commands }
}

const statementsOf = async (options: Partial<SchemaOptions>, ddl?: Record<string, string>) => {
  const { engine, commands } = recorder(ddl)
  await migrate(engine, { ...SCHEMA_DEFAULTS, ...options })
  return commands
}

describe('tables', () => {
  it('on one server are MergeTree, with a window for tokens where segments go', async () => {
    const commands = await statementsOf({})
    const flows = commands.find((sql) => sql.includes('flowdam.flows\n')) ?? ''
    assert.match(flows, /ENGINE = MergeTree\(\)/)
    assert.match(flows, /SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1/)
    assert.match(flows, /TTL toDateTime\(time\) \+ toIntervalSecond\(1296000\)/)
    assert.ok(!commands.some((sql) => /ON CLUSTER|Replicated|Distributed|_local/.test(sql)))
  })

  it('on a cluster are Replicated by shard, with a Distributed one over each; small ones are whole everywhere', async () => {
    const commands = await statementsOf({ cluster: 'edge' })
    for (const sql of commands) assert.match(sql, / ON CLUSTER 'edge'/)
    const of = (name: string) =>
      commands.filter((sql) => sql.startsWith(`CREATE TABLE IF NOT EXISTS flowdam.${name} `))
    const [local] = of('flows_local')
    assert.match(
      local ?? '',
      /ReplicatedMergeTree\('\/clickhouse\/tables\/\{shard\}\/flowdam\/flows_local', '\{replica\}'\)/,
    )
    assert.match(local ?? '', /SETTINGS replicated_deduplication_window = 10000/)
    assert.match(
      of('flows')[0] ?? '',
      /AS flowdam\.flows_local ENGINE = Distributed\('edge', flowdam, flows_local, rand\(\)\)/,
    )
    assert.match(
      of('bans')[0] ?? '',
      /ReplicatedReplacingMergeTree\('\/clickhouse\/tables\/all\/flowdam\/bans', '\{replica\}', updated\)/,
    )
    for (const key of ['host', 'port']) {
      for (const time of ['minutes', 'hours']) {
        assert.match(of(`${key}_${time}_local`)[0] ?? '', /ReplicatedReplacingMergeTree\(.*, computed\)/)
        assert.equal(of(`${key}_${time}`).length, 1)
      }
    }
    const numbers = MIGRATIONS.map(({ version }) => version)
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => a - b),
    )
  })

  it('of a cluster are written and summed on the server that the aggregator talks to', () => {
    const place = { database: 'flowdam', cluster: 'edge' }
    assert.match(
      minutesStatement(place, 'host', 60, 120),
      /^INSERT INTO flowdam\.host_minutes_local .* FROM flowdam\.flows_local AS f /,
    )
    assert.match(
      hourStatement(place, 'port', 3600),
      /^INSERT INTO flowdam\.port_hours_local .* FROM flowdam\.port_minutes_local AS m FINAL /,
    )
    const segment = { baseUnixMs: 0, key: 1n, days: [0], rows: 1 } as unknown as Parameters<
      typeof insertStatement
    >[1]
    assert.match(
      insertStatement('flowdam.flows_local', segment, [], 0, 't')('x'),
      /^INSERT INTO flowdam\.flows_local \(/,
    )
  })

  it('get another retention where it has changed, and are left alone where not', async () => {
    const ddl = {
      flows: '… TTL toDateTime(time) + toIntervalSecond(1296000) SETTINGS …',
      host_minutes: '… TTL minute + toIntervalSecond(60) SETTINGS …',
      host_hours: `… TTL hour + toIntervalSecond(${730 * 86_400}) SETTINGS …`,
      port_minutes: `… TTL minute + toIntervalSecond(${60 * 86_400}) SETTINGS …`,
      port_hours: `… TTL hour + toIntervalSecond(${730 * 86_400}) SETTINGS …`,
    }
    const altered = (await statementsOf({}, ddl)).filter((sql) => sql.includes('MODIFY TTL'))
    assert.deepEqual(altered, [
      `ALTER TABLE flowdam.host_minutes MODIFY TTL minute + toIntervalSecond(${60 * 86_400}) SETTINGS materialize_ttl_after_modify = 0`,
    ])
  })
})
