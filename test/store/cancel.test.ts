// SPDX-License-Identifier: Apache-2.0
//
// A statement whose asker is gone ends in the database, too: both engines, looked up in system.processes.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ClickHouseEngine } from '@flowdam/aggregator/internal/store/clickhouse/engine'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import type { Engine, QueryLimits } from '@flowdam/aggregator/internal/store/engine'
import { quietLog } from '@flowdam/aggregator/internal/testing/quiet-log'
import { NO_SERVER, TestServer } from './clickhouse-server.js'

/** Far longer than the test waits for anything. */
const LIMITS: QueryLimits = { timeoutMs: 600_000, maxMemoryBytes: 500e6, patient: true }
const ENDLESS = 'SELECT count() AS endless FROM system.numbers WHERE cityHash64(number) = 1'
const CANCELLED = 394
const TOO_SLOW = 159

/** How many such statements the database has under way, looked up beside the lane that they run in. */
async function underWay(engine: Engine): Promise<number> {
  const [row] = await engine.query<{ running: number | string }>(
    "SELECT count() AS running FROM system.processes WHERE query LIKE '%AS endless%' AND query NOT LIKE '%AS running%'",
    {},
    { timeoutMs: 30_000, maxMemoryBytes: 1e8 },
  )
  return Number(row?.running)
}

async function check(engine: Engine): Promise<void> {
  const gone = new AbortController()
  const running = engine.query(ENDLESS, {}, { ...LIMITS, signal: gone.signal })
  let ended = false
  const outcome = running.then(
    () => assert.fail('it cannot end'),
    (error: { code?: number }) => {
      ended = true
      return error.code
    },
  )
  while ((await underWay(engine)) < 1) assert.equal(ended, false)
  gone.abort()
  assert.equal(await outcome, CANCELLED)
  // It is on the list for a moment longer than its answer takes.
  while ((await underWay(engine)) > 0);

  // Gone before its turn, and gone before it began.
  const early = new AbortController()
  const first = engine.query(ENDLESS, {}, { ...LIMITS, signal: early.signal })
  early.abort()
  await assert.rejects(first, { code: CANCELLED })
  await assert.rejects(engine.query(ENDLESS, {}, { ...LIMITS, signal: AbortSignal.abort() }), /nobody waits/)
  while ((await underWay(engine)) > 0);

  // Also where the time limit ends it: the next one's answer is its own.
  await assert.rejects(engine.query(ENDLESS, {}, { ...LIMITS, timeoutMs: 1000 }), { code: TOO_SLOW })
  const rows = await engine.query<{ one: number }>(
    'SELECT 1 AS one',
    {},
    { ...LIMITS, signal: new AbortController().signal },
  )
  assert.deepEqual(
    rows.map(({ one }) => Number(one)),
    [1],
  )
}

describe('a statement that nobody waits for', { timeout: 120_000 }, () => {
  it('ends in the embedded database', async () => {
    const path = mkdtempSync(join(tmpdir(), 'flowdam-cancel-'))
    const engine = new EmbeddedEngine({ path, memoryBytes: 2e9, log: quietLog() })
    try {
      await engine.start()
      await check(engine)
    } finally {
      await engine.stop()
      rmSync(path, { recursive: true, force: true })
    }
  })

  it('ends in a server', { skip: NO_SERVER }, async () => {
    const server = new TestServer()
    try {
      await server.start()
      const engine = new ClickHouseEngine({
        url: server.url,
        database: 'default',
        user: 'writer',
        password: 'secret',
      })
      await engine.start()
      await check(engine)
      await engine.stop()
    } finally {
      await server.cleanUp()
    }
  })
})
