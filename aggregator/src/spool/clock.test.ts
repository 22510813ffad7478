// SPDX-License-Identifier: Apache-2.0
//
// Somebody sets the aggregator's clock, or an agent's.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { decodeRecord } from '@flowdam/proto'
import { type BatchOrigin, newFlowCounters } from '../contracts.js'
import { DropCounter } from '../drops.js'
import { until } from '../testing/daemon.js'
import { quietLog } from '../testing/quiet-log.js'
import { makeRecords } from '../testing/records.js'
import { SPOOL_DEFAULTS } from './options.js'
import { Positions } from './positions.js'
import type { SealedSegment } from './segment.js'
import { Spool } from './spool.js'

const DAY_MS = 86_400_000
const NOW = Date.UTC(2026, 5, 15)
/** A boot_id is a time. */
const BOOT = NOW

describe('a clock that is set', { timeout: 300_000 }, () => {
  let directory: string
  let spool: Spool
  let sealed: SealedSegment[]
  const origin: BatchOrigin = {
    id: 'edge1',
    clockSkewMs: 0,
    sourceOfIface: new Uint16Array(256).fill(1),
    learnIface: () => undefined,
  }
  const append = (seq: number) =>
    spool.append(origin, {
      bootId: 1,
      seq,
      epochStartUnixMs: Date.now() - 5000,
      epochMs: 5000,
      records: makeRecords(10, seq).records,
      ledgers: [],
      lost: undefined,
    })
  const times = (segment: SealedSegment) => {
    const content = readFileSync(segment.path)
    return Array.from(
      { length: segment.rows },
      (_, i) => segment.baseUnixMs + decodeRecord(content, i * 64).firstMs,
    )
  }

  beforeEach(async () => {
    // Only the wall clock: timers and the monotonic one go on.
    mock.timers.enable({ apis: ['Date'], now: NOW })
    directory = mkdtempSync(join(tmpdir(), 'flowdam-clock-'))
    sealed = []
    spool = new Spool({
      ...SPOOL_DEFAULTS,
      maxAgeMs: 100,
      fsync: 'never',
      directory,
      drops: new DropCounter(),
      flows: newFlowCounters(),
      log: quietLog(),
    })
    await spool.start()
    spool.onSealed = () => {
      for (let segment = spool.take(); segment; segment = spool.take()) sealed.push(segment)
    }
  })
  afterEach(async () => {
    mock.timers.reset()
    await spool.stop()
    rmSync(directory, { recursive: true })
  })

  it('set back, does not keep rows from the database', async () => {
    await append(1)
    mock.timers.setTime(NOW - DAY_MS)
    await until('the segment to be sealed', () => sealed.length === 1)
  })

  it('set by months, forward or back, gives no row a time that nobody said', async () => {
    const first = append(1)
    await first
    for (const [seq, now] of [
      [2, NOW - 200 * DAY_MS],
      [3, NOW + 200 * DAY_MS],
    ] as const) {
      mock.timers.setTime(now)
      await append(seq)
    }
    await until('all to be sealed', () => sealed.reduce((sum, { rows }) => sum + rows, 0) === 30)
    // A segment that was open meanwhile holds what it can: within 49 days of its base, never wrapped around.
    for (const segment of sealed) {
      for (const time of times(segment)) {
        assert.ok(time >= segment.baseUnixMs && time <= segment.baseUnixMs + 0xffffffff)
      }
    }
  })
})

describe('positions', () => {
  it('forget the boot that was silent longest, not the one with the least number', () => {
    const positions = new Positions()
    for (let boot = BOOT; boot < BOOT + 70; boot++) positions.set('edge1', boot, 5)
    // After its clock was set back.
    positions.set('edge1', BOOT - DAY_MS, 9)
    positions.set('edge1', BOOT + 69, 6)
    for (let boot = BOOT + 2000; boot < BOOT + 2060; boot++) positions.set('edge1', boot, 1)
    assert.equal(positions.get('edge1', BOOT - DAY_MS), 9)
    assert.equal(positions.get('edge1', BOOT + 69), 6)
    assert.equal(positions.get('edge1', BOOT + 1), 0)
    const again = new Positions()
    again.merge(JSON.parse(JSON.stringify(positions)))
    for (let boot = BOOT + 3000; boot < BOOT + 3003; boot++) again.set('edge1', boot, 1)
    assert.equal(again.get('edge1', BOOT + 69), 6, 'the order survives a restart')
  })
})
