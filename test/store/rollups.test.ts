// SPDX-License-Identifier: Apache-2.0
//
// Sums by host and port agree with the flows, whatever became of the inserts.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { zStore } from '@flowdam/aggregator/internal/store/config'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import { StoreFailure } from '@flowdam/aggregator/internal/store/engine'
import { TestAgent } from '@flowdam/aggregator/internal/testing/agent-client'
import { DataHalf } from '@flowdam/aggregator/internal/testing/data-half'
import { quietLog } from '@flowdam/aggregator/internal/testing/quiet-log'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'

const LIMITS = { timeoutMs: 60_000, maxMemoryBytes: 2e9 }
const HOUR_MS = 3_600_000
/** Two hours ago, so that minutes and hours are over; 30 s before an hour begins. */
const THEN = Math.floor(Date.now() / HOUR_MS - 2) * HOUR_MS - 30_000

describe('sums of minutes and hours', { timeout: 800_000 }, () => {
  const path = mkdtempSync(join(tmpdir(), 'flowdam-rollups-'))
  const config = zStore.parse({ engine: 'embedded', path, spool: { segment_age: '50ms' } })
  let engine: EmbeddedEngine
  let half: DataHalf
  let agent: TestAgent
  let seed = 0

  const start = async () => {
    engine = new EmbeddedEngine({ path: join(path, 'clickhouse'), memoryBytes: 2e9, log: quietLog() })
    half = new DataHalf(config, { engine })
    await half.start()
    agent = agent
      ? agent.moved(half.address)
      : new TestAgent({ address: half.address, agentId: 'edge1', bootId: 1 })
    await agent.connect()
  }
  const stop = async () => {
    agent.disconnect()
    await half.stop()
  }
  before(start)
  after(async () => {
    await stop()
    rmSync(path, { recursive: true })
  })

  const push = async (epochStartUnixMs: number) => {
    await agent.send(makeRecords(10_000, ++seed, 60_000).records, epochStartUnixMs, { epochMs: 60_000 })
    await agent.drained()
    await half.settled()
  }
  const summed = async () => {
    const { rollups } = half.store
    assert.ok(rollups)
    while (rollups.waitingMinutes + rollups.waitingHours > 0) await sleep(20)
  }
  const ask = (sql: string) => half.store.query<Record<string, string>>(sql, {}, LIMITS)
  const HOST = "if(direction = 'ingress', dst_addr, src_addr)"
  const WAY = "if(direction = 'ingress', 'incoming', 'outgoing')"
  const SUMS = 'count() AS flows, sum(packets) AS packets, sum(bytes) AS bytes'
  const STORED = 'toUInt64(sum(flows)) AS flows, sum(packets) AS packets, sum(bytes) AS bytes'
  /** Every key, not only the totals. */
  const agree = async () => {
    for (const [time, table] of [
      ['toStartOfMinute(time)', 'minute'],
      ['toStartOfHour(time)', 'hour'],
    ] as const) {
      for (const [key, columns, of] of [
        ['host', 'host', HOST],
        ['port', 'protocol, port', 'protocol, least(src_port, dst_port)'],
      ] as const) {
        const [row] = await ask(`SELECT count() AS differ FROM (
          SELECT cityHash64(tuple(*)) AS h FROM (SELECT toUnixTimestamp(${time}) AS t, toString(${WAY}) AS way, ${of}, ${SUMS} FROM flowdam.flows
            WHERE boundary = 'external' GROUP BY t, way, ${of})
          UNION ALL
          SELECT cityHash64(tuple(*)) AS h FROM (SELECT toUnixTimestamp(${table}) AS t, toString(direction) AS way, ${columns}, ${STORED} FROM flowdam.${key}_${table}s FINAL
            GROUP BY t, way, ${columns})) GROUP BY h HAVING count() != 2`)
        assert.equal(row, undefined, `${key}_${table}s differ`)
        const [size] = await ask(
          `SELECT count() AS rows, uniqExact(${table}) AS times FROM flowdam.${key}_${table}s FINAL`,
        )
        assert.ok(Number(size?.['rows']) > 100)
        assert.ok(Number(size?.['times']) >= 2)
      }
    }
  }

  it('are those of the flows, over the turn of an hour', async () => {
    await push(THEN)
    await summed()
    await agree()
  })

  it('take in what comes late', async () => {
    await push(THEN + 10_000)
    await push(THEN - HOUR_MS)
    await summed()
    await agree()
  })

  it('do not double when a segment is inserted again', async () => {
    const load = engine.load.bind(engine)
    engine.load = async (file, statement) => {
      engine.load = load
      await load(file, statement)
      throw new StoreFailure('retry', 'connection reset', { uncertain: true })
    }
    await push(THEN)
    await summed()
    assert.equal(half.store.loaderStatus().retries.retry, 1)
    await agree()
  })

  it('and not when the database is killed while it sums, nor when the aggregator is stopped', async () => {
    const background = engine.background.bind(engine)
    engine.background = async (sql) => {
      engine.background = background
      const done = background(sql)
      const { pid } = engine
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
      await done
    }
    await push(THEN)
    // Stopped before what the kill undid is done again.
    while (half.store.rollups?.lastError === '') await sleep(5)
    assert.ok((half.store.rollups?.waitingMinutes ?? 0) > 0)
    await stop()
    await start()
    await half.store.ready()
    await summed()
    await agree()
  })
})
