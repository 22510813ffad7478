// SPDX-License-Identifier: Apache-2.0
//
// Fewer and larger inserts while the database is behind, no more at a time than configured, and each one part of one day.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { zStore } from '@flowdam/aggregator/internal/store/config'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import { TestAgent } from '@flowdam/aggregator/internal/testing/agent-client'
import { DataHalf } from '@flowdam/aggregator/internal/testing/data-half'
import { quietLog } from '@flowdam/aggregator/internal/testing/quiet-log'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'

const BATCH = 1000
const LOADERS = 3
const DAY_MS = 86_400_000

describe('batching', { timeout: 800_000 }, () => {
  const path = mkdtempSync(join(tmpdir(), 'flowdam-batching-'))
  const engine = new EmbeddedEngine({ path: join(path, 'clickhouse'), memoryBytes: 2e9, log: quietLog() })
  const config = zStore.parse({
    engine: 'embedded',
    path,
    loaders: LOADERS,
    rollups: false,
    spool: { segment_age: '100ms' },
  })
  const half = new DataHalf(config, { engine })
  const load = engine.load.bind(engine)
  let inserts = 0
  let running = 0
  let most = 0
  let slowMs = 0
  let rows = 0
  let agent: TestAgent

  before(async () => {
    engine.load = async (file, statement) => {
      inserts++
      most = Math.max(most, ++running)
      await sleep(slowMs)
      await load(file, statement).finally(() => running--)
    }
    await half.start()
    await half.store.ready()
    await engine.command('SYSTEM STOP MERGES flowdam.flows')
    agent = new TestAgent({ address: half.address, agentId: 'edge1', bootId: 1 })
    await agent.connect()
  })
  after(async () => {
    agent.disconnect()
    await half.stop()
    rmSync(path, { recursive: true })
  })

  /** Rows in each insert, on average. */
  const send = async (batches: number, everyMs: number, epochStartUnixMs = Date.now() - 5000) => {
    const before = inserts
    for (let i = 0; i < batches; i++) {
      await agent.send(makeRecords(BATCH, ++rows).records, epochStartUnixMs)
      await sleep(everyMs)
    }
    await agent.drained()
    await half.settled()
    return (batches * BATCH) / (inserts - before)
  }
  const parts = async () => {
    const sql =
      "SELECT count() AS parts, sum(rows) AS rows FROM system.parts WHERE active AND database = 'flowdam' AND table = 'flows'"
    const [row] = await engine.query<Record<string, string>>(
      sql,
      {},
      { timeoutMs: 10_000, maxMemoryBytes: 1e8 },
    )
    return [Number(row?.['parts']), Number(row?.['rows'])]
  }

  it('makes fewer and larger inserts while the database is behind', async () => {
    const prompt = await send(20, 50)
    slowMs = 600
    const behind = await send(80, 25)
    slowMs = 0
    assert.ok(behind > 2 * prompt, `${prompt} rows an insert, ${behind} when behind`)
    // Several at a time; whether all of them depends on when segments were sealed.
    assert.ok(most > 1 && most <= LOADERS, `${most} at a time`)
    assert.deepEqual(await parts(), [inserts, rows * BATCH])
  })

  it('makes one part of each day, where a segment has two', async () => {
    const before = inserts
    const midnight = Math.floor(Date.now() / DAY_MS) * DAY_MS
    await send(1, 0, midnight - 2500)
    assert.equal(inserts - before, 2)
    assert.deepEqual(await parts(), [inserts, rows * BATCH])
    const sql =
      "SELECT max(days) AS most FROM (SELECT uniqExact(toDate(time, 'UTC')) AS days FROM flowdam.flows GROUP BY _part)"
    const [row] = await engine.query<{ most: string }>(sql, {}, { timeoutMs: 10_000, maxMemoryBytes: 1e8 })
    assert.equal(Number(row?.most), 1)
  })
})
