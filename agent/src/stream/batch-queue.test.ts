// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RECORD_SIZE } from '@flowdam/proto'
import fc from 'fast-check'
import { BatchQueue } from './batch-queue.js'

const BOOT = 77

function batch(records: number) {
  return { records: Buffer.alloc(records * RECORD_SIZE), ledgers: [], epochStartUnixMs: 1, epochMs: 2 }
}

describe('the queue of unacknowledged batches', () => {
  it('sends in order, forgets what is acknowledged, sends the rest again after a reconnect', () => {
    const queue = new BatchQueue(BOOT, { maxBytes: 1 << 20 })
    for (let i = 0; i < 4; i++) queue.push(batch(10))
    const send = () => {
      const seqs = []
      for (let next = queue.peek(); next; next = queue.peek()) {
        seqs.push(next.seq)
        queue.sent()
      }
      return seqs
    }
    assert.deepEqual(send(), [1, 2, 3, 4])
    queue.acknowledge(2)
    assert.deepEqual([queue.batches, queue.records, queue.oldestSeq], [2, 20, 3])
    queue.rewind()
    queue.push(batch(1))
    assert.deepEqual(send(), [3, 4, 5])
    queue.acknowledge(5)
    assert.deepEqual([queue.batches, queue.records, queue.bytes, queue.oldestSeq], [0, 0, 0, 0])
  })

  it('when full, gives up the oldest detail, counts it, and keeps sequence and ledgers', () => {
    const queue = new BatchQueue(BOOT, { maxBytes: 25 * RECORD_SIZE })
    for (let i = 0; i < 4; i++) queue.push(batch(10))
    assert.equal(queue.dropped.queue_full, 20)
    assert.equal(queue.records, 20)
    assert.equal(queue.batches, 4)
    assert.equal(queue.peek()?.records.length, 0)
    assert.equal(queue.peek()?.seq, 1)
  })

  it('loses no record without counting it', () => {
    const step = fc.oneof(
      fc.record({ push: fc.integer({ min: 0, max: 30 }) }),
      fc.record({ acknowledge: fc.integer({ min: 0, max: 12 }) }),
      fc.constant('send' as const),
      fc.constant('rewind' as const),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new BatchQueue(BOOT, { maxBytes: 50 * RECORD_SIZE })
        let pushed = 0
        let acknowledged = 0
        let last = 0
        for (const step of steps) {
          if (step === 'send') {
            if (queue.peek()) queue.sent()
          } else if (step === 'rewind') queue.rewind()
          else if ('push' in step) {
            pushed += step.push
            queue.push(batch(step.push))
            last++
          } else {
            const before = queue.records
            queue.acknowledge(Math.min(step.acknowledge, last))
            acknowledged += before - queue.records
          }
          assert.ok(queue.bytes <= 50 * RECORD_SIZE)
          assert.equal(queue.bytes, queue.records * RECORD_SIZE)
          assert.equal(pushed, acknowledged + queue.records + queue.dropped.queue_full)
        }
      }),
    )
  })
})
