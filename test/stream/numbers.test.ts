// SPDX-License-Identifier: Apache-2.0
//
// What an agent may believe of what an aggregator says it has: an aggregator that is wrong, and numbers that somebody else
// used, as when a machine was cloned or set back to a snapshot, or its clock gave two boots the same name.
import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  Config,
  type IngestServiceServer,
  IngestServiceService,
  PROTOCOL_VERSION,
  RECORD_SIZE,
  type StreamResponse,
  type Welcome,
} from '@flowdam/proto'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { Receiver, Sender } from './stand.js'

const stops: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

/** An aggregator that says what it is told to, and hears which batches come. */
async function liar(welcome: Partial<Welcome>, onBatch: (seq: number) => StreamResponse['message']) {
  const seqs: number[] = []
  const server = new Server()
  const service: IngestServiceServer = {
    stream: (call) => {
      call.on('error', () => undefined)
      call.on('data', ({ message }) => {
        if (message?.$case === 'hello') {
          const value = {
            protocolVersion: PROTOCOL_VERSION,
            aggregatorVersion: 'test',
            ackedSeq: 0,
            config: undefined,
            nowUnixMs: Date.now(),
            confirmsDeltas: true,
            deltasSeq: 0,
            ...welcome,
          }
          call.write({ message: { $case: 'welcome', value } })
          call.write({ message: { $case: 'window', value: { bytes: 1 } } })
          call.write({ message: { $case: 'config', value: Config.create() } })
        }
        if (message?.$case !== 'flowBatch') return
        seqs.push(message.value.seq)
        const answer = onBatch(message.value.seq)
        if (answer) call.write({ message: answer })
      })
    },
  }
  server.addService(IngestServiceService, service)
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  stops.push(() => server.forceShutdown())
  return { address: `127.0.0.1:${port}`, seqs }
}

function sender(options: ConstructorParameters<typeof Sender>[0]): Sender {
  const agent = new Sender(options)
  stops.push(() => agent.stop())
  return agent
}
const until = (what: string, holds: () => boolean) => waitFor(what, () => (holds() ? true : undefined))

describe('numbers', { timeout: 800_000 }, () => {
  it('an Ack of what was never sent costs nothing', async () => {
    const ack = { bootId: 5, seq: 1e6, deltasSeq: 0 }
    const { address, seqs } = await liar({}, () => ({ $case: 'ack', value: ack }))
    const agent = sender({ targets: [address] })
    agent.start()
    await until('the window, which comes before this', () => agent.config !== undefined)
    // One byte may be under way: one batch.
    for (let i = 0; i < 5; i++) agent.push(10)
    await until('all to be acknowledged', () => agent.queue.batches === 0)
    assert.deepEqual(seqs, [1, 2, 3, 4, 5])
    assert.equal(agent.uplink.stats.impossibleAcks, 5)
    agent.push(10)
    await until('one that was made afterwards', () => seqs.at(-1) === 6)
  })

  it('an aggregator that claims nonsense in Welcome gets no stream, and the next in the list does', async () => {
    for (const ackedSeq of [1e12, Number.MAX_SAFE_INTEGER]) {
      const { address, seqs } = await liar({ ackedSeq }, () => undefined)
      const honest = new Receiver()
      await honest.start()
      stops.push(() => honest.stop())
      const agent = sender({ targets: [address, honest.address] })
      for (let i = 0; i < 5; i++) agent.push(10)
      agent.start()
      await until('all to arrive', () => agent.queue.batches === 0)
      assert.deepEqual([seqs, honest.sink.batches.length], [[], 5])
      assert.match(agent.uplink.lastFailure ?? '', /FD_WELCOME/)
    }
  })

  it('two agents with one id do not take the stream from each other many times a second', async () => {
    const receiver = new Receiver()
    await receiver.start()
    stops.push(() => receiver.stop())
    const [first, second] = [5, 6].map((bootId) => sender({ targets: [receiver.address], bootId }))
    first?.start()
    await until('the first to have it', () => first?.uplink.connected === true)
    second?.start()
    await until('the second to have it', () => first?.uplink.stats.disconnects === 1)
    // A stream that is lost otherwise is tried again within a fifth of a second.
    await sleep(1000)
    assert.deepEqual([receiver.ingest?.agents()[0]?.replacedStreams, second?.uplink.connected], [1, true])
  })

  it('numbers that another used are skipped, and what had them is counted', async () => {
    const receiver = new Receiver()
    await receiver.start()
    stops.push(() => receiver.stop())
    const original = sender({ targets: [receiver.address], bootId: 5 })
    for (let i = 0; i < 50; i++) original.push(10)
    original.start()
    await until('the original to be done', () => original.queue.batches === 0)
    for (let i = 0; i < 30; i++) original.uplink.sendDeltas()
    await until('its deltas', () => (receiver.sink.deltas.at(-1)?.seq ?? 0) >= 30)
    await original.stop()
    // The same run, from the snapshot on.
    const copy = sender({ targets: [receiver.address], bootId: 5, runId: original.runId })
    for (let i = 0; i < 3; i++) copy.push(7)
    copy.start()
    await until('a stream', () => copy.uplink.connected)
    assert.deepEqual([copy.queue.batches, copy.queue.dropped.number_taken], [0, 21])
    const before = receiver.sink.batches.length
    assert.equal(copy.push(8), 51)
    copy.deltas.add(99)
    copy.uplink.sendDeltas()
    await until('what comes afterwards', () => receiver.sink.batches.length > before)
    assert.equal(receiver.sink.batches.at(-1)?.records.length, 8 * RECORD_SIZE)
    assert.deepEqual([receiver.sink.duplicates, receiver.drops.snapshot()], [0, []])
    const seen = () => receiver.sink.deltas.some(({ incoming }) => incoming?.packets === 99)
    await until('detection to see it', seen)
  })
})
