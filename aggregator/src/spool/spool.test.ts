// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { createLogger } from '@flowdam/common'
import { decodeRecord, type FlowBatch, RECORD_SIZE } from '@flowdam/proto'
import fc from 'fast-check'
import { type BatchOrigin, newFlowCounters } from '../contracts.js'
import { DropCounter } from '../drops.js'
import { makeRecords } from '../testing/records.js'
import { SPOOL_DEFAULTS, type SpoolOptions } from './options.js'
import { Spool } from './spool.js'

const DAY_MS = 86_400_000

describe('spool', () => {
  let directory: string
  let drops: DropCounter
  let flows: ReturnType<typeof newFlowCounters>
  let spool: Spool

  const newSpool = (options: Partial<SpoolOptions> = {}) => {
    drops = new DropCounter()
    flows = newFlowCounters()
    const log = createLogger('test')
    log.level = 'silent'
    // Nothing is sealed by age: tests seal by flush().
    return new Spool({
      ...SPOOL_DEFAULTS,
      maxAgeMs: 1e9,
      directory,
      drops,
      flows,
      log,
      fsync: 'never',
      ...options,
    })
  }
  const origin = (id: string, clockSkewMs = 0): BatchOrigin => {
    const sourceOfIface = new Uint16Array(256)
    return { id, clockSkewMs, sourceOfIface, learnIface: (iface) => (sourceOfIface[iface] = 1000 + iface) }
  }
  const batch = (seq: number, count: number, fields: Partial<FlowBatch> = {}): FlowBatch => ({
    bootId: 1,
    seq,
    epochStartUnixMs: Date.now() - 5000,
    epochMs: 5000,
    records: makeRecords(count, seq).records,
    ledgers: [],
    lost: undefined,
    ...fields,
  })
  const segments = (at: Spool) => {
    const all = []
    for (let segment = at.take(); segment; segment = at.take()) all.push(segment)
    return all
  }

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'flowdam-spool-'))
    spool = newSpool()
    await spool.start()
  })
  afterEach(async () => {
    await spool.stop()
    rmSync(directory, { recursive: true })
  })

  it('seals by age when somebody sets the clock back', { timeout: 60_000 }, async (t) => {
    await spool.stop()
    spool = newSpool({ maxAgeMs: 200 })
    const sealed = new Promise<void>((resolve) => {
      spool.onSealed = resolve
    })
    await spool.start()
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    await spool.append(origin('edge1'), batch(1, 10))
    t.mock.timers.setTime(Date.now() - 3_600_000)
    // Never, if age is what the clock on the wall says.
    await sealed
  })

  it('keeps the records of batches in order, with absolute time and source', async () => {
    const agent = origin('edge1')
    const epochs = [Date.now() - 60_000, Date.now() - 5000]
    await Promise.all([
      spool.append(agent, batch(1, 100, { epochStartUnixMs: epochs[0] as number })),
      spool.append(agent, batch(2, 50, { epochStartUnixMs: epochs[1] as number })),
    ])
    await spool.flush()
    const [segment] = segments(spool)
    assert.equal(segment?.rows, 150)
    assert.deepEqual([...(segment?.agents ?? [])], ['edge1'])
    const content = readFileSync(segment?.path ?? '')
    const sent = [makeRecords(100, 1).records, makeRecords(50, 2).records]
    for (let i = 0; i < 150; i++) {
      const is = decodeRecord(content, i * RECORD_SIZE)
      const inBatch = i < 100 ? 0 : 1
      const was = decodeRecord(sent[inBatch] as Buffer, (i - inBatch * 100) * RECORD_SIZE)
      assert.equal((segment?.baseUnixMs ?? 0) + is.firstMs, (epochs[inBatch] as number) + was.firstMs)
      assert.deepEqual({ ...is, firstMs: was.firstMs }, { ...was, source: 1000 + was.iface })
    }
  })

  it('knows a batch again, in flight and durable, and after a restart', async () => {
    const agent = origin('edge1')
    const twice = await Promise.all([spool.append(agent, batch(1, 10)), spool.append(agent, batch(1, 10))])
    assert.deepEqual(twice, ['stored', 'duplicate'])
    assert.equal(await spool.append(agent, batch(1, 10)), 'duplicate')
    assert.deepEqual(flows, { received: 30, duplicate: 20, spooled: 10, stored: 0 })
    await spool.stop()
    spool = newSpool()
    await spool.start()
    assert.equal(spool.lastSeq('edge1', 1), 1)
    assert.equal(await spool.append(agent, batch(1, 10)), 'duplicate')
    assert.equal(await spool.append(agent, batch(1, 10, { bootId: 2 })), 'stored')
    assert.equal(spool.status().rows, 20)
  })

  it('remembers positions when every segment is loaded and deleted', async () => {
    for (let seq = 1; seq <= 5; seq++) {
      await spool.append(origin('edge1'), batch(seq, 10))
      await spool.flush()
      for (const segment of segments(spool)) await spool.release(segment)
    }
    assert.equal(readdirSync(directory).filter((name) => name.endsWith('.seg')).length, 0)
    assert.equal(readdirSync(directory).filter((name) => name.endsWith('.idx')).length, 1)
    await spool.stop()
    spool = newSpool()
    await spool.start()
    assert.equal(spool.lastSeq('edge1', 1), 5)
    assert.deepEqual(segments(spool), [])
    await spool.append(origin('edge1'), batch(6, 10))
    await spool.flush()
    assert.equal(segments(spool)[0]?.number, 6)
  })

  it('a tail cut anywhere leaves exactly a prefix of batches, and the agent hears which', async () => {
    const agent = origin('edge1')
    for (let seq = 1; seq <= 8; seq++) await spool.append(agent, batch(seq, 5))
    await spool.stop()
    const files = readdirSync(directory).filter((name) => /^\d+\.(seg|idx)$/.test(name))
    const data = files.find((name) => name.endsWith('.seg')) ?? ''
    const sidecar = files.find((name) => name.endsWith('.idx')) ?? ''
    const whole = {
      data: readFileSync(join(directory, data)),
      sidecar: readFileSync(join(directory, sidecar)),
    }
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.boolean(), async (a, b, junk) => {
        writeFileSync(join(directory, data), whole.data.subarray(0, a % (whole.data.length + 1)))
        writeFileSync(join(directory, sidecar), whole.sidecar.subarray(0, b % (whole.sidecar.length + 1)))
        if (junk) appendFileSync(join(directory, data), Buffer.alloc(100, 0xaa))
        const after = newSpool()
        await after.start()
        const last = after.lastSeq('edge1', 1)
        const [segment] = segments(after)
        assert.equal(segment?.rows ?? 0, last * 5)
        if (segment) {
          assert.equal(statSync(segment.path).size, last * 5 * RECORD_SIZE)
          assert.deepEqual(readFileSync(segment.path), whole.data.subarray(0, segment.bytes))
          await after.release(segment)
        }
        assert.equal(await after.append(agent, batch(last + 1, 5)), 'stored')
        await after.stop()
        for (const name of readdirSync(directory)) {
          if (/^\d+\.(seg|idx)$/.test(name)) rmSync(join(directory, name))
        }
        rmSync(join(directory, 'dead-letter'), { recursive: true, force: true })
      }),
      { numRuns: 60 },
    )
    spool = newSpool()
    await spool.start()
  })

  it('full, drop: drops what comes, to the record, acknowledges it as lost, and takes more when there is room', async () => {
    await spool.stop()
    spool = newSpool({ maxBytes: 30 * RECORD_SIZE, whenFull: 'drop' })
    await spool.start()
    const agent = origin('edge1')
    const results = []
    for (let seq = 1; seq <= 5; seq++) results.push(await spool.append(agent, batch(seq, 10)))
    assert.deepEqual(results, ['stored', 'stored', 'stored', 'dropped', 'dropped'])
    assert.equal(drops.get('spool', 'full'), 20)
    await spool.flush()
    for (const segment of segments(spool)) await spool.release(segment)
    assert.equal(await spool.append(agent, batch(6, 10)), 'stored')
    const sums = [4, 5].map((seq) => makeRecords(10, seq).sums)
    const lost = {
      records: 20,
      packets: sums.reduce((sum, { packets }) => sum + packets, 0),
      bytes: sums.reduce((sum, { bytes }) => sum + bytes, 0),
    }
    assert.deepEqual(spool.losses.get('spool', 'full'), lost)
    await spool.stop()
    spool = newSpool()
    await spool.start()
    assert.equal(spool.lastSeq('edge1', 1), 6)
    assert.equal(spool.status().rows, 10)
    assert.deepEqual(spool.losses.get('spool', 'full'), lost)
  })

  it('counts what an agent gave up as it stores: once, and over restarts and loaded segments', async () => {
    const gone = (seq: number) =>
      batch(seq, 0, { lost: { records: 3, packets: 70 + seq, bytes: 900, reason: 'spool_full' } })
    const sums = () => spool.losses.get('agent', 'spool_full')
    const restart = async () => {
      await spool.stop()
      spool = newSpool()
      await spool.start()
    }
    // Its records came before it was given up.
    await spool.append(origin('edge1'), batch(1, 10))
    assert.equal(await spool.append(origin('edge1'), gone(1)), 'duplicate')
    assert.deepEqual(sums(), { records: 0, packets: 0, bytes: 0 })
    for (let seq = 2; seq <= 5; seq++) {
      assert.equal(await spool.append(origin('edge1'), gone(seq)), 'stored')
      assert.equal(await spool.append(origin('edge1'), gone(seq)), 'duplicate')
      // And the other way round.
      assert.equal(await spool.append(origin('edge1'), batch(seq, 10)), 'duplicate')
      await spool.append(origin('edge2'), batch(seq, 10))
      if (seq === 3) await restart()
      if (seq === 4) {
        await spool.flush()
        for (const segment of segments(spool)) await spool.release(segment)
      }
    }
    const all = { records: 12, packets: 4 * 70 + 2 + 3 + 4 + 5, bytes: 3600 }
    assert.deepEqual(sums(), all)
    for (let times = 0; times < 3; times++) await restart()
    assert.deepEqual(sums(), all)
    const odd = { records: 1, packets: 1, bytes: 1, reason: '__proto__' }
    await spool.append(origin('edge1'), batch(6, 0, { lost: odd }))
    assert.deepEqual(spool.losses.get('agent', 'other'), { records: 1, packets: 1, bytes: 1 })
  })

  it('seals by rows, and never splits a batch', async () => {
    await spool.stop()
    spool = newSpool({ maxRows: 25 })
    await spool.start()
    await Promise.all([1, 2, 3, 4, 5].map((seq) => spool.append(origin('edge1'), batch(seq, 10))))
    await spool.flush()
    assert.deepEqual(
      segments(spool).map(({ rows }) => rows),
      [20, 20, 10],
    )
  })

  it('names each day that a segment touches', async () => {
    const midnight = Math.floor((Date.now() - 60_000) / DAY_MS) * DAY_MS
    await spool.append(origin('edge1'), batch(1, 100, { epochStartUnixMs: midnight - 2500, epochMs: 5000 }))
    await spool.flush()
    assert.deepEqual(segments(spool)[0]?.days, [midnight - DAY_MS, midnight])
  })

  it('corrects a clock that is hours off, and holds a hostile one to the last month', async () => {
    const now = Date.now()
    const skew = 6 * 3_600_000
    await spool.append(origin('ahead', skew), batch(1, 10, { epochStartUnixMs: now + skew - 5000 }))
    await spool.append(origin('hostile'), batch(1, 10, { epochStartUnixMs: 12 }))
    await spool.flush()
    const [segment] = segments(spool)
    assert.ok((segment?.maxUnixMs ?? 0) <= now && (segment?.minUnixMs ?? 0) > now - 31 * DAY_MS)
  })

  it('is for one process at a time', async () => {
    const second = newSpool()
    writeFileSync(
      join(directory, 'lock'),
      readFileSync('/proc/1/stat', 'utf8').replace(/^(\d+) .*$/s, '$1 0'),
    )
    await second.start()
    await second.stop()
    const start = (readFileSync('/proc/1/stat', 'utf8').split(') ')[1] ?? '').split(' ')[19]
    writeFileSync(join(directory, 'lock'), `1 ${start}`)
    await assert.rejects(second.start(), { code: 'FD_SPOOL_LOCKED' })
    truncateSync(join(directory, 'lock'))
  })

  it('that comes back from a backup uses no name of a segment again: the database would take it for known', async () => {
    const used = new Set<string>()
    const write = async (seq: number) => {
      await spool.append(origin('edge1'), batch(seq, 10))
      await spool.flush()
      for (const segment of segments(spool)) {
        assert.equal(used.has(segment.id) || used.has(String(segment.key)), false, segment.id)
        used.add(segment.id).add(String(segment.key))
        await spool.release(segment)
      }
    }
    await write(1)
    await spool.stop()
    const backup = `${directory}.backup`
    cpSync(directory, backup, { recursive: true })
    spool = newSpool()
    await spool.start()
    for (let seq = 2; seq <= 5; seq++) await write(seq)
    await spool.stop()
    rmSync(directory, { recursive: true })
    renameSync(backup, directory)
    spool = newSpool()
    await spool.start()
    assert.equal(spool.lastSeq('edge1', 1), 1)
    for (let seq = 2; seq <= 9; seq++) await write(seq)
  })

  it('a data file that nothing describes is set aside and counted', async () => {
    await spool.stop()
    writeFileSync(join(directory, '0000000099.seg'), Buffer.alloc(640))
    spool = newSpool()
    await spool.start()
    assert.equal(drops.get('spool', 'unreadable_segment'), 1)
    assert.deepEqual(readdirSync(join(directory, 'dead-letter')), ['0000000099.seg'])
  })
})
