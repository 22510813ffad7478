// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLogger } from '@flowdam/common'
import { decodeRecord, MAX_BATCH_RECORDS, RECORD_SIZE } from '@flowdam/proto'
import fc from 'fast-check'
import { FakeKernel } from '../testing/fake-kernel.js'
import { anyPacket, packet } from '../testing/packets.js'
import { Drain, type DrainedBatch } from './drain.js'
import { EpochState } from './epoch-state.js'
import { type EpochBatch, Epochs } from './epochs.js'
import { Sequence } from './sequence.js'

process.env['FLOWDAM_LOG'] = 'silent'

function sums(batches: DrainedBatch[]) {
  let packets = 0
  let bytes = 0
  for (const { records } of batches) {
    for (let at = 0; at < records.length; at += RECORD_SIZE) {
      const record = decodeRecord(records, at)
      packets += record.packets
      bytes += record.bytes
    }
  }
  return { packets, bytes }
}

describe('a drain', () => {
  it('has every packet and byte of the epoch, agrees with the law, and leaves the epoch empty', async () => {
    const step = fc.record({ packet: anyPacket, part: fc.integer({ min: 0, max: 5 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 300 }), fc.constantFrom(4, 64), async (steps, slots) => {
        const kernel = new FakeKernel(2, slots)
        const batches: DrainedBatch[] = []
        const drain = new Drain(kernel.maps, (batch) => batches.push(batch))
        let bytes = 0
        for (const { packet, part } of steps) {
          kernel.count(part, { ...packet, iface: packet.iface | (part & 1 ? 0x80 : 0) })
          bytes += packet.bytes
        }
        kernel.countNotIp(0, 0, 60)
        const result = await drain.run(0)
        assert.deepEqual(result.violations, [])
        assert.deepEqual(sums(batches), { packets: steps.length, bytes })
        assert.deepEqual(batches.at(-1)?.ledgers, result.ledgers)
        assert.ok(batches.slice(0, -1).every(({ ledgers }) => ledgers.length === 0))
        assert.equal(
          result.ledgers.reduce((sum, { seenPackets }) => sum + seenPackets, 0),
          steps.length + 1,
        )
        const first = batches.splice(0)
        assert.deepEqual(await drain.run(0), result)
        assert.deepEqual(batches, first, 'a repeated drain gives the same batches')
        await drain.clear(0)
        assert.equal(kernel.indexDirt, 0)
        batches.length = 0
        assert.equal((await drain.run(0)).records, 0)
        assert.deepEqual(batches, [], 'an empty epoch is no batch')
        await drain.clear(0)
        assert.equal(kernel.mapped, 0, 'an epoch without flows keeps nothing mapped')
      }),
      { numRuns: 150 },
    )
  })

  it('splits at 16384 records', async () => {
    const kernel = new FakeKernel(1, 65_536)
    for (let i = 0; i < 40_000; i++) kernel.count(0, packet({ srcPort: i, bytes: 100 + (i % 7) }))
    const batches: DrainedBatch[] = []
    const result = await new Drain(kernel.maps, (batch) => batches.push(batch)).run(0)
    assert.deepEqual(
      batches.map(({ records }) => records.length / RECORD_SIZE),
      [MAX_BATCH_RECORDS, MAX_BATCH_RECORDS, 40_000 - 2 * MAX_BATCH_RECORDS],
    )
    assert.equal(sums(batches).packets, 40_000)
    assert.deepEqual(result.violations, [])
  })

  it('says which number is wrong when the kernel lost an update', async () => {
    for (const field of ['seenPackets', 'flowBytes', 'overflowPackets', 'malformedPackets'] as const) {
      const kernel = new FakeKernel(1, 64)
      kernel.count(0, packet())
      kernel.corrupt(0, 0, field, 1)
      const { violations } = await new Drain(kernel.maps, () => {}).run(0)
      assert.ok(violations.length > 0, field)
      assert.match(violations[0] ?? '', /^iface 0: /)
    }
  })
})

describe('epochs', () => {
  it('flip only after the grace period, read a last time, and name their start', async () => {
    const kernel = new FakeKernel(1, 64)
    const order: string[] = []
    const batches: EpochBatch[] = []
    const epochs = new Epochs({
      maps: kernel.maps,
      state: new EpochState(),
      sequence: new Sequence(),
      grace: {
        by: 'test',
        close: () => {},
        wait: async () => {
          order.push(`grace, parity ${kernel.maps.parity}`)
          // A program that began before the flip is still writing the old epoch.
          kernel.count(0, packet({ srcPort: 2 }), 0)
        },
      },
      reader: { finish: (parity) => void order.push(`finish ${parity}`) },
      emit: (batch) => batches.push(batch),
      log: createLogger('test'),
      exportIntervalMs: 1000,
      exportRate: 1000,
      clock: () => ({ seconds: 3, nanoseconds: 7 }),
    })
    epochs.start()
    kernel.count(0, packet())
    await epochs.flip()
    assert.deepEqual(order, ['grace, parity 1', 'finish 0'])
    assert.equal(batches.length, 1)
    assert.equal(sums(batches).packets, 2)
    assert.equal(epochs.stats.lawViolations, 0)
    assert.equal(new DataView(kernel.maps.control.buffer).getBigUint64(16, true), 3_000_000_007n)
  })
})
