// SPDX-License-Identifier: Apache-2.0
//
// The queue with a real folder behind it.
import assert from 'node:assert/strict'
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLogger } from '@flowdam/common'
import { type FlowBatch, RECORD_SIZE, RecordOffset, sumRecords } from '@flowdam/proto'
import fc from 'fast-check'
import { BatchQueue } from '../batch-queue.js'
import type { QueueDropReason } from '../queue-drops.js'
import { DiskSpool } from './disk-spool.js'
import { type FoundFrame, frameBytes, scanFrames } from './frame.js'

const log = createLogger('test')
log.level = 'silent'

const LEDGER = {
  iface: 0,
  seenPackets: 7,
  seenBytes: 700,
  flowPackets: 7,
  flowBytes: 700,
  overflowPackets: 0,
  overflowBytes: 0,
  notIpPackets: 0,
  notIpBytes: 0,
  malformedPackets: 0,
  malformedBytes: 0,
  droppedPackets: 0,
  droppedBytes: 0,
}

function batchOf(bootId: number, seq: number, records: number): FlowBatch {
  return {
    bootId,
    seq,
    records: Buffer.alloc(records * RECORD_SIZE, seq),
    ledgers: [LEDGER],
    lost: undefined,
    epochStartUnixMs: seq,
    epochMs: 2,
  }
}

/** A disk that fills up in the middle of each write, and then cannot even take back what it wrote. */
function halfWritten(file: FileHandle): FileHandle {
  const full = () => Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }))
  return new Proxy(file, {
    get(target, key) {
      if (key === 'truncate' || key === 'datasync') return full
      if (key === 'writev') {
        return async (buffers: Uint8Array[], position: number) => {
          const whole = Buffer.concat(buffers)
          await target.write(whole, 0, Math.ceil(whole.length / 2), position)
          return full()
        }
      }
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

describe('the queue of unacknowledged batches, with a spool', { timeout: 300_000 }, () => {
  let folder: string
  const queues: BatchQueue[] = []

  function queueOf(options: {
    memory: number
    max?: number
    create?: (path: string) => Promise<FileHandle>
    at?: string
  }) {
    const { memory, max = 64 << 20, create, at = folder } = options
    const spool = new DiskSpool({ folder: at, maxBytes: max, ...(create && { create }) })
    const queue = new BatchQueue({ maxBytes: memory, spool, log })
    queue.start()
    queues.push(queue)
    return queue
  }

  /** Everything the queue has, in the order in which it would be sent. */
  async function sendAll(queue: BatchQueue): Promise<FlowBatch[]> {
    const sent: FlowBatch[] = []
    while (queue.unsent > 0) {
      const batch = queue.peek()
      if (batch) {
        sent.push(batch)
        queue.sent(0)
      } else {
        await new Promise<void>((resolve) => {
          queue.onLoaded = resolve
        })
      }
    }
    return sent
  }

  const settled = async (condition: () => boolean) => {
    while (!condition()) await sleep(5)
  }
  const names = (batches: readonly FlowBatch[]) => batches.map(({ bootId, seq }) => `${bootId}/${seq}`)
  const segments = () => readdirSync(folder).filter((name) => name.endsWith('.seg'))

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flowdam-agent-spool-'))
  })
  afterEach(async () => {
    for (const queue of queues.splice(0)) await queue.stop(60_000)
    rmSync(folder, { recursive: true })
  })

  it('goes to the disk when the memory is full, comes back as it was, in order', async () => {
    const queue = queueOf({ memory: 100 * RECORD_SIZE })
    const pushed = Array.from({ length: 40 }, (_, i) => batchOf(5, i + 1, 10))
    for (const batch of pushed) {
      queue.push(batch)
      await settled(() => queue.bytes <= 50 * RECORD_SIZE || queue.durableSeq === batch.seq)
    }
    assert.ok(queue.bytes <= 100 * RECORD_SIZE)
    assert.ok(queue.spoolBytes > 300 * RECORD_SIZE)
    assert.equal(queue.records, 400)
    assert.deepEqual(await sendAll(queue), pushed)
    queue.acknowledge(5, 40)
    assert.deepEqual([queue.batches, queue.records, queue.bytes], [0, 0, 0])
    await settled(() => queue.spoolBytes === 0 && segments().length === 0)
    assert.ok(Object.values(queue.dropped).every((count) => count === 0))
  })

  it('writes nothing while acknowledgements come at once, and all that waited for a second', async () => {
    const queue = queueOf({ memory: 1 << 20 })
    queue.push(batchOf(5, 1, 10))
    queue.acknowledge(5, 1)
    queue.push(batchOf(5, 2, 10))
    assert.equal(queue.durableSeq, 1)
    await settled(() => queue.durableSeq === 2)
    assert.equal(queue.spooledBatches, 1)
  })

  it('after a clean stop and after a kill, sends what the disk holds under its old name, first', async () => {
    const first = queueOf({ memory: 1 << 20 })
    for (let seq = 1; seq <= 5; seq++) first.push(batchOf(5, seq, seq))
    first.acknowledge(5, 2)
    await first.stop(60_000)
    const second = queueOf({ memory: 1 << 20 })
    second.push(batchOf(6, 1, 1))
    assert.deepEqual(names(await sendAll(second)), ['5/3', '5/4', '5/5', '6/1'])
    second.acknowledge(5, 4)
    await settled(() => second.durableSeq === 1)
    // As after a kill: no stop, another process.
    const third = queueOf({ memory: 1 << 20 })
    const sent = await sendAll(third)
    assert.deepEqual(names(sent).slice(-2), ['5/5', '6/1'])
    assert.deepEqual(sent.at(-2), batchOf(5, 5, 5))
    third.acknowledge(5, 5)
    third.acknowledge(6, 1)
    assert.equal(third.batches, 0)
  })

  it('cuts a torn tail, at any byte of it', async () => {
    const queue = queueOf({ memory: 1 << 20 })
    for (let seq = 1; seq <= 3; seq++) queue.push(batchOf(5, seq, 2))
    await queue.stop(60_000)
    const [name = ''] = segments()
    const whole = readFileSync(join(folder, name))
    const frame = whole.length / 3
    for (const cut of [1, 19, 20, 60, frame - 1]) {
      writeFileSync(join(folder, name), whole)
      truncateSync(join(folder, name), whole.length - cut)
      const again = queueOf({ memory: 1 << 20 })
      assert.deepEqual(names(await sendAll(again)), ['5/1', '5/2'], `${cut} bytes are missing`)
      await again.stop(60_000)
      assert.equal(readFileSync(join(folder, name)).length, 2 * frame)
    }
    writeFileSync(join(folder, name), whole)
    appendFileSync(join(folder, name), Buffer.alloc(5000, 0x5a))
    const again = queueOf({ memory: 1 << 20 })
    assert.equal((await sendAll(again)).length, 3)
  })

  it('counts records that are damaged, and goes on with the rest', async () => {
    const queue = queueOf({ memory: 1 << 20 })
    for (let seq = 1; seq <= 3; seq++) queue.push(batchOf(5, seq, 10))
    await queue.stop(60_000)
    const [name = ''] = segments()
    const bytes = readFileSync(join(folder, name))
    const at = Math.round(bytes.length / 2)
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    writeFileSync(join(folder, name), bytes)
    const again = queueOf({ memory: 1 << 20 })
    const sent = await sendAll(again)
    assert.deepEqual(
      sent.map(({ seq, records }) => [seq, records.length / RECORD_SIZE]),
      [
        [1, 10],
        [2, 0],
        [3, 10],
      ],
    )
    assert.equal(again.dropped.spool_damaged, 10)
    assert.equal(again.records, 20)
  })

  it('has all but the batch that is damaged, wherever, and counts that one exactly, under its name', async () => {
    const batches = Array.from({ length: 6 }, (_, i) => batchOf(5, i + 1, 10 + i))
    const queue = queueOf({ memory: 1 << 20 })
    for (const batch of batches) queue.push(batch)
    await queue.stop(1000)
    const [name = ''] = segments()
    const whole = readFileSync(join(folder, name))
    const frames = scanFrames(openSync(join(folder, name), 'r'), whole.length).found as FoundFrame[]
    assert.equal(frames.length, 6)
    await fc.assert(
      fc.asyncProperty(
        // One damage inside one frame with others behind it: a byte, or a whole sector.
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 0, max: 10_000 }),
        fc.constantFrom(1, 2, 16, 512),
        fc.integer({ min: 1, max: 255 }),
        async (which, where, length, mask) => {
          const { offset } = frames[which] as FoundFrame
          const size = frameBytes(frames[which] as FoundFrame)
          const from = offset + (where % size)
          const bytes = Buffer.from(whole)
          for (let at = from; at < Math.min(from + length, offset + size); at++) {
            bytes[at] = (bytes[at] as number) ^ mask
          }
          const at = mkdtempSync(join(folder, 'p'))
          writeFileSync(join(at, name), bytes)
          const again = queueOf({ memory: 1 << 20, at })
          const sent = await sendAll(again)
          assert.deepEqual(
            sent.map(({ seq, records }) => [seq, records.length > 0]),
            batches.map(({ seq }) => [seq, seq !== which + 1]),
          )
          const { records } = batches[which] as FlowBatch
          const rest = sent[which]
          const hit = (first: number, behind: number) =>
            from < offset + behind && Math.min(from + length, offset + size) > offset + first
          const recordsAt = size - records.length
          // Who has damaged both copies of the sums, or all that says where the records are, has hidden them.
          const told = !(hit(0, recordsAt) && hit(recordsAt, size)) && !(hit(8, 16) && hit(16, 20))
          if (told) assert.deepEqual(rest?.lost, { ...sumRecords(records), reason: 'spool_damaged' })
          const lost = rest?.lost
          assert.deepEqual(
            [
              again.dropped.spool_damaged,
              again.droppedPackets.spool_damaged,
              again.droppedBytes.spool_damaged,
            ],
            [lost?.records, lost?.packets, lost?.bytes],
          )
          await again.stop(1000)
        },
      ),
      { numRuns: 150 },
    )
  })

  it('keeps a limit that is lower than what it holds: the oldest detail goes, counted', async () => {
    const queue = queueOf({ memory: 1 << 20 })
    for (let seq = 1; seq <= 60; seq++) queue.push(batchOf(5, seq, 100))
    await queue.stop(5000)
    const max = 128 << 10
    const again = queueOf({ memory: 1 << 20, max })
    assert.ok(again.spoolBytes > 2 * max)
    again.push(batchOf(6, 1, 100))
    await settled(() => again.durableSeq === 1)
    assert.ok(again.spoolBytes <= max, `${again.spoolBytes} bytes`)
    assert.equal(again.dropped.spool_full + again.records, 6100)
    const sent = await sendAll(again)
    assert.deepEqual(
      sent.map(({ records, lost }) => records.length / RECORD_SIZE + (lost?.records ?? 0)),
      Array.from({ length: 61 }, () => 100),
    )
  })

  it('goes on without a file that cannot be read', async () => {
    const queue = queueOf({ memory: 1 << 20 })
    queue.push(batchOf(5, 1, 10))
    await queue.stop(1000)
    mkdirSync(join(folder, '0000000009.seg'))
    const again = queueOf({ memory: 1 << 20 })
    assert.deepEqual([names(await sendAll(again)), again.spoolFailing], [['5/1'], false])
    again.push(batchOf(5, 2, 10))
    await settled(() => again.durableSeq === 2)
  })

  it('at its limit gives up the oldest detail, counts it, and keeps the ledgers', async () => {
    const max = 1 << 20
    const queue = queueOf({ memory: 200 * RECORD_SIZE, max })
    let pushed = 0
    for (let seq = 1; seq <= 300; seq++) {
      queue.push(batchOf(5, seq, 100))
      pushed += 100
      await settled(() => queue.durableSeq >= seq - 1)
      assert.ok(queue.bytes <= 200 * RECORD_SIZE)
      assert.ok(queue.spoolBytes <= max)
    }
    assert.equal(queue.dropped.spool_full + queue.records, pushed)
    assert.ok(queue.records * RECORD_SIZE > max / 2, `${queue.records} left`)
    const sent = await sendAll(queue)
    assert.equal(sent.length, 300)
    const kept = sent.findIndex(({ records }) => records.length > 0)
    assert.ok(kept > 0)
    assert.ok(sent.slice(kept).every(({ records }) => records.length === 100 * RECORD_SIZE))
    assert.ok(sent.every(({ ledgers }) => ledgers[0]?.seenPackets === 7))
    for (const [index, { seq }] of sent.entries()) assert.equal(seq, index + 1)
  })

  it('killed at any moment, has of each batch the records or their sums on the disk', async () => {
    const max = 64 << 10
    const each = 50
    const perRecord = { packets: 3, bytes: 400 }
    const records = Buffer.alloc(each * RECORD_SIZE)
    for (let at = 0; at < records.length; at += RECORD_SIZE) {
      records.writeUInt32LE(perRecord.packets, at + RecordOffset.packets)
      records.writeUInt32LE(perRecord.bytes, at + RecordOffset.bytes)
    }
    const queue = queueOf({ memory: 200 * RECORD_SIZE, max })
    // The kernel clears what was durable once: it must stay so.
    let durable = 0
    let lost = 0
    /** The folder at one moment: again, if the queue made or removed a file meanwhile. */
    const copyOf = (name: string): string => {
      const copy = join(folder, name)
      for (;;) {
        mkdirSync(copy)
        const before = segments()
        try {
          for (const segment of before) copyFileSync(join(folder, segment), join(copy, segment))
          if (segments().join() === before.join()) return copy
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
        }
        rmSync(copy, { recursive: true })
      }
    }
    const look = (name: string) => {
      durable = Math.max(durable, queue.durableSeq)
      const copy = copyOf(name)
      const found = new DiskSpool({ folder: copy, maxBytes: max }).start()
      const kept = found.filter(({ batch }) => batch.seq <= durable)
      assert.deepEqual(
        kept.map(({ batch }) => batch.seq),
        Array.from({ length: durable }, (_, i) => i + 1),
      )
      for (const { batch, place } of kept) {
        const { packets, bytes } = perRecord
        const sums = { records: each, packets: each * packets, bytes: each * bytes }
        assert.deepEqual(batch.lost, { ...sums, reason: batch.lost?.reason })
        assert.equal(place.recordBytes > 0, batch.lost?.reason === '')
        if (place.recordBytes === 0) lost++
      }
      rmSync(copy, { recursive: true })
    }
    for (let seq = 1; seq <= 60; seq++) {
      queue.push({ ...batchOf(5, seq, 0), records })
      for (let turn = 0; turn < 2; turn++) {
        look(`kill-${seq}-${turn}`)
        await sleep(turn)
      }
      if (seq % 7 === 0) await settled(() => queue.durableSeq >= seq)
    }
    assert.ok(lost > 0)
    for (const [reason, records] of Object.entries(queue.dropped)) {
      assert.equal(queue.droppedPackets[reason as QueueDropReason], records * perRecord.packets)
      assert.equal(queue.droppedBytes[reason as QueueDropReason], records * perRecord.bytes)
    }
    assert.ok(queue.dropped.spool_full > 0)
  })

  it('survives a full disk: counted, in memory as far as it fits, and on the disk again when there is room', async () => {
    let full = true
    const create = (path: string) => open(full ? '/dev/full' : path, full ? 'w' : 'wx')
    const queue = queueOf({ memory: 100 * RECORD_SIZE, create })
    for (let seq = 1; seq <= 5; seq++) queue.push(batchOf(5, seq, 10))
    await settled(() => queue.spoolFailing)
    for (let seq = 6; seq <= 20; seq++) queue.push(batchOf(5, seq, 10))
    assert.equal(queue.dropped.spool_failed, 100)
    assert.ok(queue.spoolErrors >= 1)
    full = false
    await settled(() => queue.durableSeq === 20)
    assert.equal(queue.spoolFailing, false)
    const sent = await sendAll(queue)
    assert.deepEqual(
      sent.map(({ records }) => records.length > 0),
      Array.from({ length: 20 }, (_, i) => i >= 10),
    )
  })

  it('does without a folder that cannot be made, and says so', () => {
    const file = join(folder, 'file')
    writeFileSync(file, '')
    const queue = queueOf({ memory: 1 << 20, at: join(file, 'spool') })
    queue.push(batchOf(5, 1, 10))
    assert.deepEqual([queue.spoolErrors, queue.spoolFailing, queue.records], [1, true, 10])
  })

  it('loses no record without counting it, whatever happens in whatever order', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ push: fc.integer({ min: 0, max: 40 }) }) },
      { weight: 1, arbitrary: fc.record({ acknowledge: fc.integer({ min: 1, max: 5 }) }) },
      fc.constantFrom('send', 'rewind', 'breathe', 'restart', 'fail', 'heal'),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const at = mkdtempSync(join(folder, 'p'))
        let failing = false
        const make = () =>
          queueOf({
            at,
            memory: 60 * RECORD_SIZE,
            max: 64 << 10,
            create: async (path) => (failing ? halfWritten(await open(path, 'wx')) : await open(path, 'wx')),
          })
        let queue = make()
        let boot = 1
        let seq = 0
        let pushed = 0
        let acknowledged = 0
        let lost = 0
        const losses = () => Object.values(queue.dropped).reduce((sum, count) => sum + count, 0)
        for (const one of steps) {
          if (one === 'send') {
            if (queue.peek()) queue.sent(0)
          } else if (one === 'rewind') queue.rewind()
          else if (one === 'breathe') await sleep(1)
          else if (one === 'fail') failing = true
          else if (one === 'heal') failing = false
          else if (one === 'restart') {
            await queue.stop(60_000)
            const before = queue.records
            lost += losses()
            queue = make()
            // What could not be written at the end is gone, and the log said so.
            lost += Math.max(0, before - queue.records)
            // More may come back: what was acknowledged stays in its file as long as a neighbour is needed, is sent
            // again under its old number, and is recognised as a duplicate.
            assert.ok(failing || before <= queue.records, 'a clean stop kept everything')
            acknowledged -= Math.max(0, queue.records - before)
            assert.ok(acknowledged >= 0, 'nothing comes back that was not acknowledged')
            boot++
            seq = 0
          } else if (typeof one === 'object' && 'push' in one) {
            queue.push(batchOf(boot, ++seq, one.push))
            pushed += one.push
          } else if (typeof one === 'object') {
            const before = queue.records
            queue.acknowledge(boot, Math.min(seq, one.acknowledge))
            acknowledged += before - queue.records
          }
          assert.ok(queue.bytes <= 60 * RECORD_SIZE)
          assert.equal(pushed, acknowledged + queue.records + losses() + lost)
        }
        await queue.stop(60_000)
      }),
      { numRuns: 60 },
    )
  })
})
