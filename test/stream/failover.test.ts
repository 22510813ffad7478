// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { type FlowBatch, RECORD_SIZE } from '@flowdam/proto'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { DelayProxy } from '@flowdam/scripts/net/delay-proxy'
import { Receiver, Sender, Sink } from './stand.js'

const stops: (() => Promise<unknown>)[] = []

async function receiver(sink?: Sink): Promise<Receiver> {
  const made = new Receiver(sink ? { sink } : {})
  await made.start()
  stops.push(() => made.stop())
  return made
}

function sender(options: ConstructorParameters<typeof Sender>[0]): Sender {
  const made = new Sender({ returnEveryMs: 200, ...options })
  stops.push(() => made.stop())
  made.start()
  return made
}

const records = (batches: readonly FlowBatch[]) =>
  batches.reduce((sum, { records: { length } }) => sum + length / RECORD_SIZE, 0)
const seqs = (one: Receiver) => one.sink.batches.map(({ seq }) => seq)
const until = (what: string, holds: () => boolean) => waitFor(what, () => (holds() ? true : undefined))

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

describe('several aggregators', { timeout: 800_000 }, () => {
  it('takes the first that answers, moves on when it goes, and back when it returns; nothing is lost or doubled', async () => {
    const [first, second] = [await receiver(), await receiver()]
    const agent = sender({ targets: [first.address, second.address] })
    for (let i = 0; i < 5; i++) agent.push(10)
    await until('the first to have it', () => agent.queue.batches === 0)
    await first.stop()
    for (let i = 0; i < 5; i++) agent.push(10)
    await until('the second to have the rest', () => agent.queue.batches === 0)
    assert.equal(agent.uplink.aggregator, second.address)
    assert.deepEqual(
      [seqs(first), seqs(second)],
      [
        [1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10],
      ],
    )
    await first.start()
    await until('the agent to return', () => agent.uplink.aggregator === first.address)
    for (let i = 0; i < 5; i++) agent.push(10)
    await until('the first to have the new ones', () => agent.queue.batches === 0)
    assert.deepEqual(seqs(first), [1, 2, 3, 4, 5, 11, 12, 13, 14, 15])
    assert.deepEqual(agent.uplink.doubles, Object.assign(agent.uplink.doubles, { maybe: 0, certain: 0 }))
    // 6-10 are missing at the first, and it knows that they are not lost.
    assert.equal(first.drops.get('ingest', 'gap'), 0)
    assert.equal(first.ingest?.agents()[0]?.elsewhereBatches, 5)
    assert.equal(first.ingest?.agents()[0]?.gapBatches, 0)
  })

  it('with one store for both there is no double, whatever was under way', async () => {
    const store = new Sink()
    const [first, second] = [await receiver(store), await receiver(store)]
    const proxy = new DelayProxy({ target: { host: '127.0.0.1', port: first.port }, oneWayMs: 30 })
    await proxy.start()
    stops.push(() => proxy.stop())
    const agent = sender({ targets: [`127.0.0.1:${proxy.port}`, second.address] })
    await until('a stream', () => agent.uplink.connected)
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 20; i++) agent.push(100)
      if (round % 2 === 0) proxy.cut()
      else proxy.restore()
      await until('all to be acknowledged', () => agent.queue.batches === 0)
    }
    assert.equal(records(store.batches), 6 * 20 * 100)
    assert.deepEqual(
      store.batches.map(({ seq }) => seq),
      Array.from({ length: 120 }, (_, i) => i + 1),
    )
  })

  it('with two stores, counts what may be in both, and later what is', async () => {
    const [first, second] = [await receiver(), await receiver()]
    const proxy = new DelayProxy({ target: { host: '127.0.0.1', port: first.port }, oneWayMs: 100 })
    await proxy.start()
    stops.push(() => proxy.stop())
    const agent = sender({ targets: [`127.0.0.1:${proxy.port}`, second.address] })
    await until('a stream', () => agent.uplink.connected)
    for (let i = 0; i < 3; i++) agent.push(10)
    // The first has them, its answers are still under way: cut now.
    await until('the first to have three', () => first.sink.batches.length === 3)
    proxy.cut()
    await until('the second to have them', () => agent.queue.batches === 0)
    assert.equal(agent.uplink.doubles.maybe, 30)
    assert.equal(records(first.sink.batches) + records(second.sink.batches), 60)
    proxy.restore()
    await until('the agent to return', () => agent.uplink.aggregator?.endsWith(`:${proxy.port}`) === true)
    assert.deepEqual([agent.uplink.doubles.maybe, agent.uplink.doubles.certain], [30, 30])
  })
})

describe('a stream that breaks', { timeout: 800_000 }, () => {
  it('host deltas arrive once each, in order, whatever was under way', async () => {
    const one = await receiver()
    const proxy = new DelayProxy({ target: { host: '127.0.0.1', port: one.port }, oneWayMs: 20 })
    await proxy.start()
    stops.push(() => proxy.stop())
    const agent = sender({ targets: [`127.0.0.1:${proxy.port}`] })
    for (let round = 0; round < 8; round++) {
      await until('a stream', () => agent.uplink.connected)
      for (let i = 0; i < 10; i++) {
        agent.deltas.add(1 + i)
        agent.uplink.sendDeltas()
      }
      proxy.cut()
      agent.deltas.add(1000)
      agent.uplink.sendDeltas()
      proxy.restore()
    }
    const got = () => one.sink.deltas.reduce((sum, { incoming }) => sum + (incoming?.packets ?? 0), 0)
    await until('all packets', () => got() >= agent.deltas.made)
    assert.equal(got(), agent.deltas.made)
    const order = one.sink.deltas.map(({ seq }) => seq)
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    )
    assert.equal(new Set(order).size, order.length)
  })
})
