// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { type FlowBatch, RECORD_SIZE } from '@flowdam/proto'
import fc from 'fast-check'
import { BatchQueue } from './batch-queue.js'

const BOOT = 77

/** Makes batches numbered from 1. */
function sequence(bootId = BOOT) {
  let seq = 0
  return (records: number): FlowBatch => ({
    bootId,
    seq: ++seq,
    records: Buffer.alloc(records * RECORD_SIZE),
    ledgers: [],
    lost: undefined,
    epochStartUnixMs: 1,
    epochMs: 2,
  })
}

function send(queue: BatchQueue): number[] {
  const seqs = []
  for (let next = queue.peek(); next; next = queue.peek()) {
    seqs.push(next.seq)
    queue.sent(0)
  }
  return seqs
}

describe('the queue of unacknowledged batches, in memory', () => {
  it('sends in order, forgets what is acknowledged, sends the rest again after a reconnect', () => {
    const queue = new BatchQueue({ maxBytes: 1 << 20 })
    const batch = sequence()
    for (let i = 0; i < 4; i++) queue.push(batch(10))
    assert.deepEqual(send(queue), [1, 2, 3, 4])
    queue.acknowledge(BOOT, 2)
    assert.deepEqual([queue.batches, queue.records, queue.oldestSeq(BOOT), queue.inFlight], [2, 20, 3, 2])
    queue.rewind()
    queue.push(batch(1))
    assert.deepEqual(send(queue), [3, 4, 5])
    queue.acknowledge(BOOT, 5)
    assert.deepEqual([queue.batches, queue.records, queue.bytes, queue.oldestSeq(BOOT)], [0, 0, 0, 0])
    assert.equal(queue.ackedSeq(BOOT), 5)
  })

  it('acknowledges the boot that was meant', () => {
    const queue = new BatchQueue({ maxBytes: 1 << 20 })
    const [older, newer] = [sequence(1), sequence(2)]
    for (const batch of [older(1), older(1), newer(1), newer(1)]) queue.push(batch)
    assert.deepEqual(send(queue), [1, 2, 1, 2])
    queue.acknowledge(2, 1)
    assert.deepEqual([queue.batches, queue.inFlight, queue.oldestSeq(1), queue.oldestSeq(2)], [3, 3, 1, 2])
    queue.acknowledge(1, 2)
    assert.deepEqual([queue.batches, queue.oldestSeq(1), queue.oldestSeq(2)], [1, 0, 2])
  })

  it('when full, gives up the oldest detail, counts it, and keeps sequence and ledgers', () => {
    const queue = new BatchQueue({ maxBytes: 25 * RECORD_SIZE })
    const batch = sequence()
    for (let i = 0; i < 4; i++) queue.push(batch(10))
    assert.equal(queue.dropped.queue_full, 20)
    assert.equal(queue.records, 20)
    assert.equal(queue.batches, 4)
    assert.equal(queue.peek()?.records.length, 0)
    assert.equal(queue.peek()?.seq, 1)
  })

  it('ignores what was acknowledged before it came, and what comes twice', () => {
    const queue = new BatchQueue({ maxBytes: 1 << 20 })
    queue.acknowledge(BOOT, 2)
    for (const batch of [sequence(), sequence()]) for (let i = 0; i < 3; i++) queue.push(batch(1))
    assert.deepEqual([queue.batches, queue.peek()?.seq, queue.durableSeq], [1, 3, 2])
  })

  it('knows how old its oldest epoch is, whoever sets the clock meanwhile', () => {
    mock.timers.enable({ apis: ['Date'], now: 1.8e12 })
    try {
      const queue = new BatchQueue({ maxBytes: 1 << 20 })
      queue.push({ ...sequence()(1), epochStartUnixMs: Date.now() - 5000 })
      for (const jump of [-3_600_000, 7_200_000]) {
        mock.timers.setTime(Date.now() + jump)
        assert.ok(queue.oldestAgeMs >= 5000 && queue.oldestAgeMs < 15_000, String(queue.oldestAgeMs))
        assert.ok(Number.isInteger(queue.oldestAgeMs), 'a field of the Heartbeat')
      }
    } finally {
      mock.timers.reset()
    }
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
        const queue = new BatchQueue({ maxBytes: 50 * RECORD_SIZE })
        const batch = sequence()
        let pushed = 0
        let acknowledged = 0
        let last = 0
        for (const step of steps) {
          if (step === 'send') {
            if (queue.peek()) queue.sent(0)
          } else if (step === 'rewind') queue.rewind()
          else if ('push' in step) {
            pushed += step.push
            queue.push(batch(step.push))
            last++
          } else {
            const before = queue.records
            queue.acknowledge(BOOT, Math.min(step.acknowledge, last))
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
