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
  /** Inserts wait for it. */
  let gate: Promise<void> | undefined
  let batches = 0
  let agent: TestAgent

  before(async () => {
    engine.load = async (file, statement) => {
      inserts++
      most = Math.max(most, ++running)
      await gate
      await load(file, statement).finally(() => running--)
    }
    await half.start()
    await half.store.ready()
    await engine.command('SYSTEM STOP MERGES flowdam.flows')
    agent = new TestAgent({ address: half.address, agentId: 'edge1', bootId: 1, returns: true })
    await agent.connect()
  })
  after(async () => {
    agent.disconnect()
    await half.stop()
    rmSync(path, { recursive: true })
  })

  const send = (epochStartUnixMs = Date.now() - 5000) =>
    agent.send(makeRecords(BATCH, ++batches).records, epochStartUnixMs)
  const settled = async () => {
    await agent.drained()
    await half.settled()
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
    for (let i = 0; i < 5; i++) {
      await send()
      await settled()
    }
    assert.equal(inserts, batches)
    let open = () => {}
    gate = new Promise((resolve) => {
      open = resolve
    })
    // Every loader has one, and the spool fills behind them.
    for (let more = 40; running < LOADERS || more > 0; ) {
      await send()
      await sleep(25)
      if (running === LOADERS) more--
    }
    await agent.drained()
    open()
    await settled()
    const behind = (batches - 5) / (inserts - 5)
    assert.ok(behind > 2, `${behind} batches an insert when behind`)
    assert.equal(most, LOADERS)
    assert.deepEqual(await parts(), [inserts, batches * BATCH])
  })

  it('makes one part of each day, where a segment has two', async () => {
    const before = inserts
    const midnight = Math.floor((Date.now() - 60_000) / DAY_MS) * DAY_MS
    await send(midnight - 2500)
    await settled()
    assert.equal(inserts - before, 2)
    assert.deepEqual(await parts(), [inserts, batches * BATCH])
    const sql =
      "SELECT max(days) AS most FROM (SELECT uniqExact(toDate(time, 'UTC')) AS days FROM flowdam.flows GROUP BY _part)"
    const [row] = await engine.query<{ most: string }>(sql, {}, { timeoutMs: 10_000, maxMemoryBytes: 1e8 })
    assert.equal(Number(row?.most), 1)
  })
})
