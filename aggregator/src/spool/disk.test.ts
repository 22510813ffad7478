// SPDX-License-Identifier: Apache-2.0
//
// Slow, full and broken disks: acknowledgements wait, nothing is lost, and nobody has to help.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { RECORD_SIZE } from '@flowdam/proto'
import fc from 'fast-check'
import { type AppendResult, type BatchOrigin, newFlowCounters } from '../contracts.js'
import { DropCounter } from '../drops.js'
import { until } from '../testing/daemon.js'
import { TestDisk } from '../testing/disk.js'
import { quietLog } from '../testing/quiet-log.js'
import { makeRecords } from '../testing/records.js'
import { SPOOL_DEFAULTS, type SpoolOptions } from './options.js'
import { Spool } from './spool.js'

describe('spool on a bad disk', { timeout: 300_000 }, () => {
  let directory: string
  let disk: TestDisk
  let drops: DropCounter
  let spool: Spool
  const origin: BatchOrigin = {
    id: 'edge1',
    clockSkewMs: 0,
    sourceOfIface: new Uint16Array(256).fill(1),
    learnIface: () => undefined,
  }

  const open = async (options: Partial<SpoolOptions> = {}) => {
    drops = new DropCounter()
    const flows = newFlowCounters()
    spool = new Spool({
      ...SPOOL_DEFAULTS,
      maxAgeMs: 1e9,
      directory,
      drops,
      flows,
      log: quietLog(),
      openFile: disk.openFile,
      ...options,
    })
    await spool.start()
  }
  const append = (seq: number, count = 10, results?: AppendResult[]): Promise<AppendResult> => {
    const { records } = makeRecords(count, seq)
    const batch = {
      bootId: 1,
      seq,
      epochStartUnixMs: Date.now(),
      epochMs: 5000,
      records,
      ledgers: [],
      lost: undefined,
    }
    const done = spool.append(origin, batch)
    if (results) void done.then((result) => results.push(result))
    return done
  }
  const releaseAll = async () => {
    let rows = 0
    for (let segment = spool.take(); segment; segment = spool.take()) {
      rows += segment.rows
      await spool.release(segment)
    }
    return rows
  }

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'flowdam-disk-'))
    disk = new TestDisk()
  })
  afterEach(async () => {
    await spool.stop()
    rmSync(directory, { recursive: true })
  })

  it('slow: says that there is no more room, and acknowledges all when the disk is done', async () => {
    await open({ queueBytes: 100 * RECORD_SIZE })
    const go = disk.stall()
    const results: AppendResult[] = []
    let seq = 0
    while (spool.hasRoom(10 * RECORD_SIZE)) void append(++seq, 10, results)
    assert.equal(seq, 10)
    const room = spool.room()
    assert.deepEqual(results, [])
    assert.equal(spool.lastSeq('edge1', 1), 0)
    go()
    await room
    await spool.flush()
    assert.deepEqual(results, Array(10).fill('stored'))
    assert.equal(spool.lastSeq('edge1', 1), 10)
    assert.deepEqual(drops.snapshot(), [])
  })

  it('low, hold: acknowledges nothing more of what it would have to write, seals what is open, and goes on', async () => {
    const room = { freeBytes: 1000 * RECORD_SIZE, totalBytes: 1e9 }
    await open({ reserve: () => 100 * RECORD_SIZE, space: async () => ({ ...room }) })
    const results: AppendResult[] = []
    assert.equal(await append(1), 'stored')
    room.freeBytes = 99 * RECORD_SIZE
    for (const seq of [2, 3]) void append(seq, 10, results)
    await until('the spool to say so', () => spool.status().lastError.includes('FD_SPOOL_DISK_LOW'))
    assert.equal(spool.status().state, 'degraded')
    assert.deepEqual([spool.status().diskFreeBytes, spool.status().diskReserveBytes], [99 * 64, 100 * 64])
    assert.equal(await releaseAll(), 10)
    assert.deepEqual(results, [])
    assert.equal(spool.status().bytes, 0)
    room.freeBytes = 113 * RECORD_SIZE
    await until('both', () => results.length === 2)
    await spool.flush()
    assert.equal(spool.status().lastError, '')
    assert.deepEqual(results, ['stored', 'stored'])
    assert.equal(await releaseAll(), 20)
    assert.deepEqual(drops.snapshot(), [])
  })

  it('low, drop: drops and counts each record, and takes them again', async () => {
    const room = { freeBytes: 1000 * RECORD_SIZE, totalBytes: 1e9 }
    await open({ whenFull: 'drop', reserve: () => 100 * RECORD_SIZE, space: async () => ({ ...room }) })
    assert.equal(await append(1), 'stored')
    room.freeBytes = 0
    // It is known with the next group, or at the next look.
    assert.equal(await append(2), 'stored')
    assert.equal(await append(3), 'dropped')
    assert.equal(spool.status().state, 'failed')
    room.freeBytes = 1000 * RECORD_SIZE
    assert.equal(await append(4), 'dropped')
    assert.equal(await append(5), 'stored')
    assert.deepEqual(drops.snapshot(), [{ stage: 'spool', reason: 'full', count: 20 }])
    assert.equal(spool.lastSeq('edge1', 1), 5)
    await spool.flush()
    assert.equal(await releaseAll(), 30)
  })

  it('full, hold: acknowledges nothing more, seals what is open, and goes on when a segment is gone', async () => {
    await open({ maxBytes: 30 * RECORD_SIZE })
    const results: AppendResult[] = []
    for (let seq = 1; seq <= 8; seq++) void append(seq, 10, results)
    await until('the spool to say that it is full', () => spool.status().lastError.includes('FD_SPOOL_FULL'))
    assert.deepEqual(results, ['stored', 'stored', 'stored'])
    assert.equal(spool.status().bytes, 30 * RECORD_SIZE)
    assert.equal(await releaseAll(), 30)
    await until('three more', () => results.length === 6)
    await until('full again', () => spool.status().lastError !== '' && spool.status().queuedBytes > 0)
    assert.equal(await releaseAll(), 30)
    await until('all', () => results.length === 8)
    await spool.flush()
    assert.equal(await releaseAll(), 20)
    assert.equal(spool.status().lastError, '')
    assert.deepEqual(drops.snapshot(), [])
  })

  it('sets no more aside than it may, and again when somebody has taken it away', async () => {
    await open({ deadLetterBytes: 1500 })
    await append(1)
    await spool.flush()
    const first = spool.take()
    assert.ok(first)
    await spool.deadLetter(first, 'why')
    assert.equal(spool.status().bytes, 0)
    assert.ok(spool.status().deadLetterBytes >= 10 * RECORD_SIZE)
    await append(2)
    await spool.flush()
    const second = spool.take()
    assert.ok(second)
    await assert.rejects(spool.deadLetter(second, 'why'), { code: 'FD_STORE_DEAD_LETTERS' })
    assert.equal(spool.status().bytes, 10 * RECORD_SIZE)
    rmSync(join(directory, 'dead-letter'), { recursive: true })
    await spool.deadLetter(second, 'why')
    assert.equal(spool.status().bytes, 0)
  })

  it('full, hold: a stop does not wait for room; what was not acknowledged comes again', async () => {
    await open({ maxBytes: 30 * RECORD_SIZE })
    const done = [1, 2, 3, 4].map((seq) => append(seq))
    await Promise.all(done.slice(0, 3))
    await Promise.all([
      spool.stop(),
      assert.rejects(done[3] as Promise<AppendResult>, { code: 'FD_SPOOL_STOPPED' }),
    ])
    await open({ maxBytes: 60 * RECORD_SIZE })
    assert.equal(spool.lastSeq('edge1', 1), 3)
    assert.equal(await append(4), 'stored')
  })

  it('a batch larger than the whole spool still passes, alone', async () => {
    await open({ maxBytes: 5 * RECORD_SIZE })
    assert.equal(await append(1, 10), 'stored')
    const second = append(2, 10)
    await until('the first to be sealed', () => spool.status().lastError !== '')
    assert.equal(await releaseAll(), 10)
    assert.equal(await second, 'stored')
  })

  it('broken at any operation, any number of times: every batch is there once afterwards', async () => {
    const failures = fc.record({
      on: fc.constantFrom('writev' as const, 'datasync' as const, 'open' as const),
      code: fc.constantFrom('ENOSPC', 'EIO'),
      times: fc.integer({ min: 1, max: 2 }),
      after: fc.nat({ max: 6 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(failures, { maxLength: 2 }), fc.boolean(), async (plan, restart) => {
        await open({ maxRows: 25 })
        let rows = 0
        for (let seq = 1; seq <= 7; seq++) {
          disk.failing = plan.find(({ after }) => after === seq) ?? disk.failing
          assert.equal(await append(seq), 'stored')
        }
        if (restart) {
          disk.failing = undefined
          await spool.stop()
          await open({ maxRows: 25 })
        }
        await spool.flush()
        rows = await releaseAll()
        assert.equal(rows, 70)
        assert.equal(spool.lastSeq('edge1', 1), 7)
        assert.equal(spool.status().lastError, '')
        await spool.stop()
        disk.failing = undefined
        rmSync(directory, { recursive: true })
      }),
      { numRuns: 15 },
    )
    await open()
  })

  it('a seal that failed does not hide what is written after it', async () => {
    await open()
    assert.equal(await append(1), 'stored')
    // The line is written, its sync fails: the segment goes on.
    disk.failing = { on: 'datasync', code: 'EIO', times: 1 }
    const flushed = spool.flush()
    await until('the failure', () => spool.status().lastError !== '')
    assert.equal(await append(2), 'stored')
    await flushed
    await spool.stop()
    await open()
    assert.equal(spool.lastSeq('edge1', 1), 2)
    assert.equal(await releaseAll(), 20)
  })
})
