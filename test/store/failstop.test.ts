// SPDX-License-Identifier: Apache-2.0
//
// chdb confirms what it could not write. With aggregator/native preloaded its process ends instead: under a merge, an insert and a
// new table a disk is filled to the last byte, and afterwards everything that was confirmed is there.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import { quietLog } from '@flowdam/aggregator/internal/testing/quiet-log'
import { NO_SMALL_DISK, SmallDisk } from './faults/small-disk.js'

const ROWS = 300_000
const LIMITS = { timeoutMs: 60_000, maxMemoryBytes: 1e9 }
const CANNOT_WRITE = { kind: 'retry', uncertain: true, message: /a write failed: No space left on device/ }

// The limit is for a hang only.
describe('a database that cannot write', { skip: NO_SMALL_DISK, timeout: 120_000 }, () => {
  const disk = new SmallDisk()
  // Without a reserve ClickHouse would not begin.
  const engine = new EmbeddedEngine({
    path: `${disk.path}/clickhouse`,
    memoryBytes: 2e9,
    reserve: 0,
    log: quietLog(),
  })

  before(async () => {
    disk.mount(256)
    await engine.start()
    await engine.command('CREATE DATABASE flowdam')
    await engine.command(
      // Slow to compress, so that there is time to fill the disk.
      'CREATE TABLE flowdam.t (n UInt64, r UInt64 CODEC(ZSTD(9))) ENGINE = MergeTree ORDER BY n SETTINGS fsync_after_insert = 1, old_parts_lifetime = 600',
    )
    await engine.command('SYSTEM STOP MERGES')
    for (let i = 0; i < 4; i++) await insert(ROWS)
  })
  after(async () => {
    await engine.stop()
    disk.cleanUp()
  })

  /** As one part of some bytes a row. */
  const insert = (rows: number, bytesPerSecond = 0) =>
    engine.background(
      `INSERT INTO flowdam.t SELECT number, rand() FROM numbers(${rows}) SETTINGS max_insert_threads = 1, min_insert_block_size_rows = ${rows}, min_insert_block_size_bytes = 0, max_block_size = ${rows}, max_local_write_bandwidth = ${bytesPerSecond}`,
    )
  const sums = async () =>
    (await engine.query('SELECT count() AS rows, sum(n) AS n, sum(r) AS r FROM flowdam.t', {}, LIMITS))[0]
  /** Fills the disk when the work has written something, and frees it when the work has failed. */
  const fillUnder = async (work: () => Promise<void>) => {
    // The rest is filled in no time.
    await disk.fill(30e6)
    const free = disk.freeBytes
    let ended = false
    const failed = assert.rejects(
      work().finally(() => {
        ended = true
      }),
      CANNOT_WRITE,
    )
    while (!ended && disk.freeBytes > free - 1e6) await sleep(1)
    await disk.fill()
    await failed
    disk.relieve()
  }

  it('ends within a merge: the parts that were merged are there', async () => {
    const before = await sums()
    await engine.command('SYSTEM START MERGES')
    await fillUnder(() => engine.background('OPTIMIZE TABLE flowdam.t FINAL'))
    assert.deepEqual(await sums(), before)
  })

  it('ends within an insert: all of it is there, or nothing', async () => {
    const before = await sums()
    await engine.command('SYSTEM STOP MERGES')
    await fillUnder(() => insert(4 * ROWS, 5e6))
    assert.deepEqual(await sums(), before)
  })

  it('ends within CREATE TABLE: it can be made when there is room', async () => {
    const create = 'CREATE TABLE IF NOT EXISTS flowdam.u (n UInt64) ENGINE = MergeTree ORDER BY n'
    await disk.fill()
    await assert.rejects(engine.command(create), CANNOT_WRITE)
    disk.relieve()
    await engine.command(create)
    await engine.insertRows('u', [{ n: 1 }])
    assert.equal(engine.deaths, 3)
  })
})
