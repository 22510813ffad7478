// SPDX-License-Identifier: Apache-2.0
//
// An agent and an aggregator of different versions: what each tells the other, and what each must take.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:http2'
import { afterEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { IngestServiceService, PROTOCOL_VERSION, StreamResponse } from '@flowdam/proto'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { Server, ServerCredentials, type ServerDuplexStream, type sendUnaryData, status } from '@grpc/grpc-js'
import { encode, frame, hello } from './hostile.js'
import { Receiver, Sender } from './stand.js'

const NEWER = PROTOCOL_VERSION + 1
const stops: (() => Promise<unknown>)[] = []

function sender(options: ConstructorParameters<typeof Sender>[0]): Sender {
  const made = new Sender(options)
  stops.push(() => made.stop())
  made.start()
  return made
}

async function receiver(): Promise<Receiver> {
  const made = new Receiver()
  await made.start()
  stops.push(() => made.stop())
  return made
}

type Call = ServerDuplexStream<unknown, Buffer>

/** An aggregator that does not exist yet: it answers bytes of its own. */
async function newerAggregator(
  answer: (call: Call) => void,
): Promise<{ address: string; streams: () => number }> {
  let streams = 0
  const server = new Server()
  const method = { ...IngestServiceService.stream, responseSerialize: (bytes: Buffer) => bytes }
  server.addService(
    { stream: method },
    {
      stream: (call: Call, _done?: sendUnaryData<unknown>) => {
        streams++
        call.on('error', () => undefined)
        call.once('data', () => answer(call))
        call.on('end', () => call.end())
      },
    },
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  stops.push(async () => server.forceShutdown())
  return { address: `127.0.0.1:${port}`, streams: () => streams }
}

function response(message: StreamResponse['message']): Buffer {
  return Buffer.from(StreamResponse.encode({ message }).finish())
}

function welcome(protocolVersion: number): Buffer {
  return response({
    $case: 'welcome',
    value: {
      protocolVersion,
      aggregatorVersion: '9.0.0',
      ackedSeq: 0,
      config: undefined,
      nowUnixMs: Date.now(),
      confirmsDeltas: true,
      deltasSeq: 0,
    },
  })
}

const until = (what: string, holds: () => boolean) => waitFor(what, () => (holds() ? true : undefined))

/** Half a minute at least passes before the next attempt; an impatient agent would be back within the second. */
async function staysAway(agent: Sender): Promise<void> {
  const { version } = agent.uplink.stats.failures
  await sleep(1500)
  assert.equal(agent.uplink.stats.failures.version, version)
}

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

describe('a newer agent and this aggregator', { timeout: 800_000 }, () => {
  it('both say who must be upgraded, it is counted, and the agent comes back slowly', async () => {
    const one = await receiver()
    const agent = sender({ targets: [one.address], protocolVersion: NEWER })
    agent.push(10)
    await until('the refusal', () => agent.uplink.stats.failures.version === 1)
    assert.match(
      agent.uplink.lastFailure ?? '',
      /^FD_PROTOCOL_VERSION: the agent \(test\) speaks version 2 of the stream, the aggregator \(\d.*\) version 1; upgrade the aggregator$/,
    )
    assert.equal(one.drops.get('ingest', 'bad_hello'), 1)
    await staysAway(agent)
    assert.equal(agent.queue.records, 10, 'nothing is given up for it')
  })

  it('goes to the next aggregator, if that one knows its version', async () => {
    const one = await receiver()
    const newer = await newerAggregator((call) => call.write(welcome(PROTOCOL_VERSION)))
    const agent = sender({ targets: [one.address, newer.address], protocolVersion: NEWER })
    await until('the other', () => agent.uplink.aggregator === newer.address)
  })

  it('of the same version of the stream: messages and fields that this aggregator does not know are no error', async () => {
    const one = await receiver()
    const session = connect(`http://${one.address}`)
    const call = session.request({
      ':method': 'POST',
      ':path': IngestServiceService.stream.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    call.resume()
    const first = once(call, 'data')
    const unknownField = Buffer.from([0x9a, 0x06, 2, 1, 2])
    call.write(frame(Buffer.concat([hello('edge1'), unknownField])))
    await first
    // A message that this version has no name for, then one that it knows.
    call.write(frame(unknownField))
    const records = Buffer.alloc(640, 1)
    const value = {
      bootId: 7,
      seq: 1,
      epochStartUnixMs: Date.now(),
      epochMs: 5000,
      records,
      ledgers: [],
      lost: undefined,
    }
    call.write(frame(encode({ $case: 'flowBatch', value })))
    await until('the batch', () => one.sink.batches.length === 1)
    assert.deepEqual(one.drops.snapshot(), [])
    session.destroy()
  })
})

describe('this agent and a newer aggregator', { timeout: 800_000 }, () => {
  it('that refuses it: its words are what the operator reads, and the agent comes back slowly', async () => {
    const words = 'FD_PROTOCOL_VERSION: version 1 is no longer spoken here; upgrade the agent'
    const newer = await newerAggregator((call) =>
      call.emit(
        'error',
        Object.assign(new Error(words), { code: status.FAILED_PRECONDITION, details: words }),
      ),
    )
    const agent = sender({ targets: [newer.address] })
    await until('the refusal', () => agent.uplink.stats.failures.version === 1)
    assert.equal(agent.uplink.lastFailure, words)
    await staysAway(agent)
    assert.equal(newer.streams(), 1)
  })

  it('that welcomes it in another version: the agent says who must be upgraded', async () => {
    const newer = await newerAggregator((call) => call.write(welcome(NEWER)))
    const agent = sender({ targets: [newer.address] })
    await until('the refusal', () => agent.uplink.stats.failures.version === 1)
    assert.match(
      agent.uplink.lastFailure ?? '',
      /^FD_PROTOCOL_VERSION: .*version 1 of the stream, the aggregator \(9\.0\.0\) version 2; upgrade the agent$/,
    )
    await staysAway(agent)
  })

  it('of the same version of the stream: messages and fields that this agent does not know are no error', async () => {
    const unknownField = Buffer.from([0x9a, 0x06, 2, 1, 2])
    const newer = await newerAggregator((call) => {
      call.write(Buffer.concat([welcome(PROTOCOL_VERSION), unknownField]))
      call.write(unknownField)
      call.write(response({ $case: 'ack', value: { bootId: 5, seq: 1, deltasSeq: 0 } }))
    })
    const agent = sender({ targets: [newer.address] })
    agent.push(10)
    await until('the acknowledgement', () => agent.queue.batches === 0)
    assert.equal(agent.uplink.connected, true)
    assert.equal(agent.uplink.stats.disconnects, 0)
  })
})
