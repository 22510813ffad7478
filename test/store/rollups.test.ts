// SPDX-License-Identifier: Apache-2.0
//
// Sums by host and port agree with the flows, whatever became of the inserts.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { StoreFailure } from '@flowdam/aggregator/internal/store/engine'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { SummedHalf } from './summed-half.js'

const LIMITS = { timeoutMs: 60_000, maxMemoryBytes: 2e9 }
const HOUR_MS = 3_600_000
/** Two hours ago, so that minutes and hours are over; 30 s before an hour begins. */
const THEN = Math.floor(Date.now() / HOUR_MS - 2) * HOUR_MS - 30_000

describe('sums of minutes and hours', { timeout: 800_000 }, () => {
  const site = new SummedHalf()
  before(() => site.start())
  after(() => site.remove())

  const ask = (sql: string) => site.store.query<Record<string, string>>(sql, {}, LIMITS)
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
    await site.push(THEN)
    await site.summed()
    await agree()
  })

  it('take in what comes late', async () => {
    await site.push(THEN + 10_000)
    await site.push(THEN - HOUR_MS)
    await site.summed()
    await agree()
  })

  it('do not double when a segment is inserted again', async () => {
    const { engine } = site
    const load = engine.load.bind(engine)
    engine.load = async (file, statement) => {
      engine.load = load
      await load(file, statement)
      throw new StoreFailure('retry', 'connection reset', { uncertain: true })
    }
    await site.push(THEN)
    await site.summed()
    assert.equal(site.store.loaderStatus().retries.retry, 1)
    await agree()
  })

  it('and not when the database is killed while it sums, nor when the aggregator is stopped', async () => {
    const { engine } = site
    const background = engine.background.bind(engine)
    engine.background = async (sql) => {
      engine.background = background
      const done = background(sql)
      const { pid } = engine
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
      await done
    }
    await site.push(THEN)
    // Stopped before what the kill undid is done again.
    await waitFor('the failure', () => site.rollups.lastError !== '', undefined, 5)
    assert.ok(site.rollups.waitingMinutes > 0)
    await site.stop()
    await site.start()
    await site.summed()
    await agree()
  })
})
