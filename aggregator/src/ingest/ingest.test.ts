// SPDX-License-Identifier: Apache-2.0
//
// Real gRPC between a test agent and the ingest service; the spool behind it is a recorder.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Settings } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { createLogger, formatHostPort } from '@flowdam/common'
import {
  type FlowBatch,
  type HostDeltas,
  RECORD_SIZE,
  type RefusedMessage,
  readRefused,
  StreamRequest,
} from '@flowdam/proto'
import { Client, credentials, status } from '@grpc/grpc-js'
import fc from 'fast-check'
import type { AgentEvent, AppendResult, BatchSink } from '../contracts.js'
import { DropCounter } from '../drops.js'
import { anyPort, GrpcEndpoint } from '../grpc/endpoint.js'
import { WINDOW_BYTES } from '../grpc/windows.js'
import { SourceRegistry } from '../sources/registry.js'
import { TestAgent, type TestAgentOptions } from '../testing/agent-client.js'
import { makeRecords } from '../testing/records.js'
import { IngestServer } from './server.js'

class Recorder implements BatchSink {
  readonly batches: FlowBatch[] = []
  readonly last = new Map<number, number>()
  readonly queueBytes = 64e6
  /** Set while there is no room. */
  full: Promise<void> | undefined
  hasRoom(): boolean {
    return this.full === undefined
  }
  async room(): Promise<void> {
    await this.full
  }
  async append(_agent: unknown, batch: FlowBatch): Promise<AppendResult> {
    const known = this.last.get(batch.bootId) ?? 0
    if (batch.seq <= known) return 'duplicate'
    this.last.set(batch.bootId, batch.seq)
    this.batches.push(batch)
    return 'stored'
  }
  lastSeq(_agentId: string, bootId: number): number {
    return this.last.get(bootId) ?? 0
  }
}

const REQUEST_PATH = '/flowdam.v1.IngestService/Stream'

describe('ingest', { timeout: 300_000 }, () => {
  let directory: string
  let drops: DropCounter
  let sink: Recorder
  let ingest: IngestServer
  let grpc: GrpcEndpoint
  let events: [string, AgentEvent][]
  let sources: SourceRegistry
  const agents: TestAgent[] = []
  const log = createLogger('test')
  log.level = 'silent'

  const agent = (options: Partial<TestAgentOptions> = {}): TestAgent => {
    const made = new TestAgent({
      address: formatHostPort(grpc.address),
      agentId: 'edge1',
      bootId: 5,
      ...options,
    })
    agents.push(made)
    return made
  }
  const refused = async (made: TestAgent) => {
    const error = await made.ended()
    return { code: error?.code, details: error?.details }
  }

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'flowdam-ingest-'))
    drops = new DropCounter()
    sink = new Recorder()
    events = []
    sources = new SourceRegistry(directory)
    sources.start()
    ingest = new IngestServer({
      deltas: {
        onHostDeltas: () => undefined,
        onAgentState: (info, event) => events.push([info.id, event]),
      },
      batches: sink,
      sources,
      drops,
      log,
      config: { networks: ['203.0.113.0/24'], exemptRemote: [], pace: undefined },
    })
    grpc = new GrpcEndpoint({ listen: anyPort(), drops, log })
    grpc.add(ingest.definition, ingest.service)
    ingest.start()
    await grpc.start()
  })
  afterEach(async () => {
    for (const made of agents.splice(0)) made.disconnect()
    ingest.stop()
    await grpc.stop()
    sources.stop()
    rmSync(directory, { recursive: true })
  })

  it('welcomes with the configuration and the newest durable batch, acknowledges what becomes durable', async () => {
    sink.last.set(5, 41)
    const one = agent()
    const welcome = await one.connect()
    assert.deepEqual(welcome.config?.networks, ['203.0.113.0/24'])
    assert.equal(welcome.ackedSeq, 41)
    // The agent had nothing of boot 5 itself, so it goes on behind the aggregator's 41.
    one.skipTo(42)
    await one.send(makeRecords(10, 1).records, Date.now())
    await one.drained()
    assert.equal(one.acked, 42)
    assert.deepEqual(
      sink.batches.map(({ seq, records }) => [seq, records.length]),
      [[42, 10 * RECORD_SIZE]],
    )
    assert.deepEqual(drops.snapshot(), [])
    assert.deepEqual(events, [['edge1', 'connected']])
  })

  it('counts the batches of a gap, and takes a batch twice only once', async () => {
    const one = agent()
    await one.connect()
    await one.send(makeRecords(1, 1).records, Date.now())
    one.skipTo(5)
    await one.send(makeRecords(1, 2).records, Date.now())
    await one.drained()
    assert.equal(drops.get('ingest', 'gap'), 3)
    assert.equal(ingest.agents()[0]?.gapBatches, 3)
    one.skipTo(5)
    await one.send(makeRecords(1, 2).records, Date.now())
    await one.drained()
    assert.equal(sink.batches.length, 2)
    assert.equal(drops.get('ingest', 'gap'), 3)
  })

  it('the newest stream of an agent wins, and the agent stays connected', async () => {
    const old = agent()
    await old.connect()
    const young = agent()
    await young.connect()
    const { code, details } = await refused(old)
    assert.equal(code, status.ABORTED)
    assert.match(details ?? '', /FD_REPLACED/)
    assert.equal(ingest.connected, 1)
    assert.equal(ingest.agents()[0]?.connected, true)
    assert.deepEqual(
      events.map(([, event]) => event),
      ['connected', 'connected'],
    )
  })

  it('sends a changed configuration to who is connected', async () => {
    const one = agent()
    await one.connect()
    ingest.setConfig({ networks: ['2001:db8::/32'], exemptRemote: [], pace: undefined })
    assert.deepEqual((await one.nextConfig()).networks, ['2001:db8::/32'])
  })

  it('measures the clock of an agent', async () => {
    const one = agent({ hello: { nowUnixMs: Date.now() + 60_000 } })
    await one.connect()
    const skew = ingest.agents()[0]?.clockSkewMs ?? 0
    assert.ok(skew > 50_000 && skew <= 60_000, `${skew}`)
  })

  for (const [title, hello, code, details] of [
    [
      'another version',
      { protocolVersion: 2 },
      status.FAILED_PRECONDITION,
      /FD_PROTOCOL_VERSION.*version 2.*version 1; upgrade the aggregator/,
    ],
    ['another record size', { recordSize: 72 }, status.FAILED_PRECONDITION, /FD_RECORD_SIZE.*72/],
    ['an agent id with a slash', { agentId: '../edge' }, status.INVALID_ARGUMENT, /FD_AGENT_ID/],
    ['no boot id', { bootId: 0 }, status.INVALID_ARGUMENT, /FD_BOOT_ID/],
  ] as const) {
    it(`refuses ${title} with a reason, and counts it`, async () => {
      const one = agent({ hello })
      await assert.rejects(one.connect(), (error: { code: number; details: string }) => {
        assert.equal(error.code, code)
        assert.match(error.details, details)
        return true
      })
      assert.equal(drops.get('ingest', 'bad_hello'), 1)
      assert.equal(ingest.connected, 0)
    })
  }

  for (const [title, request, reason] of [
    ['half a record', { $case: 'flowBatch', value: batchOf(Buffer.alloc(65)) }, 'bad_batch'],
    [
      'a batch of too many records',
      { $case: 'flowBatch', value: batchOf(Buffer.alloc(64 * 16_385)) },
      'bad_batch',
    ],
    [
      'a batch without a number',
      { $case: 'flowBatch', value: { ...batchOf(Buffer.alloc(64)), seq: 0 } },
      'bad_batch',
    ],
    ['half a delta', { $case: 'hostDeltas', value: deltasOf(Buffer.alloc(41)) }, 'bad_deltas'],
    [
      'an interface index above 127',
      { $case: 'interfaces', value: { interfaces: [iface(128)] } },
      'bad_hello',
    ],
  ] as const) {
    it(`closes the stream for ${title}, and only that stream`, async () => {
      const good = agent({ agentId: 'good' })
      await good.connect()
      const bad = agent()
      await bad.connect()
      bad.write({ message: request } as StreamRequest)
      assert.equal((await refused(bad)).code, status.INVALID_ARGUMENT)
      assert.equal(drops.get('ingest', reason), 1)
      await good.send(makeRecords(1, 1).records, Date.now())
      await good.drained()
    })
  }

  it('names the message for which a stream ends, also one that is cut short', async () => {
    const truncated = StreamRequest.encode({
      message: { $case: 'flowBatch', value: batchOf(Buffer.alloc(64)) },
    })
    for (const [request, name] of [
      [
        { message: { $case: 'flowBatch', value: batchOf(Buffer.alloc(65)) } },
        { kind: 'batch', bootId: 5, seq: 1 },
      ],
      [{ message: { $case: 'hostDeltas', value: deltasOf(Buffer.alloc(41)) } }, { kind: 'deltas', seq: 1 }],
      [truncated.finish().subarray(0, -1), { kind: 'batch', bootId: 5, seq: 1 }],
      [{ message: { $case: 'interfaces', value: { interfaces: [iface(128)] } } }, undefined],
      [Uint8Array.of(0x22, 0x02, 0x08, 0x80), undefined],
    ] as [StreamRequest | Uint8Array, RefusedMessage | undefined][]) {
      const bad = agent()
      await bad.connect()
      if (request instanceof Uint8Array) bad.writeBytes(request)
      else bad.write(request)
      const error = await bad.ended()
      assert.equal(error?.code, status.INVALID_ARGUMENT)
      const [details] = error.metadata.get('grpc-status-details-bin')
      assert.deepEqual(details && readRefused(details as Buffer), name)
    }
  })

  it('a seq that jumps is a gap to count, not a reason to refuse evidence', async () => {
    const one = agent({ hello: { ackedSeq: 3e8, runId: 1 } })
    await one.connect()
    one.skipTo(1e9)
    await one.send(makeRecords(1, 1).records, Date.now())
    await one.drained()
    // 3e8 are another's, and no agent loses as many as the rest.
    assert.deepEqual([drops.get('ingest', 'gap'), ingest.agents()[0]?.elsewhereBatches], [1, 3e8])
    assert.equal(sink.batches.length, 1)
  })

  it('arbitrary bytes and arbitrary messages end one stream each, and nothing else', async () => {
    const good = agent({ agentId: 'good' })
    await good.connect()
    const client = new Client(formatHostPort(grpc.address), credentials.createInsecure())
    const raw = (bytes: Uint8Array) =>
      new Promise<number>((resolve) => {
        const call = client.makeBidiStreamRequest(
          REQUEST_PATH,
          (value: Uint8Array) => Buffer.from(value),
          (value: Buffer) => value,
        )
        call.on('data', () => undefined)
        call.on('error', (error: { code: number }) => resolve(error.code))
        call.on('end', () => resolve(status.OK))
        call.write(bytes)
        call.end()
      })
    const framed = fc
      .tuple(fc.integer({ min: 1, max: 6 }), fc.uint8Array({ maxLength: 200 }))
      .map(([field, body]) => Uint8Array.from([(field << 3) | 2, ...varint(body.length), ...body]))
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 300 }), framed), async (bytes) => {
        await raw(bytes)
      }),
      { numRuns: 400 },
    )
    client.close()
    await good.send(makeRecords(1, 1).records, Date.now())
    await good.drained()
    assert.equal(ingest.connected, 1)
  })

  it('gives streams and connections large windows, as an HTTP/2 client sees it', async () => {
    const session = connect(`http://${formatHostPort(grpc.address)}`)
    const [settings] = (await once(session, 'remoteSettings')) as [Settings]
    assert.equal(settings.initialWindowSize, WINDOW_BYTES)
    // The connection's window comes in a frame of its own, which a ping's answer follows.
    await new Promise((resolve) => session.ping(resolve))
    assert.equal(session.state.remoteWindowSize, WINDOW_BYTES)
    session.destroy()
  })
})

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, value >> 7]
}

function batchOf(records: Buffer): FlowBatch {
  return {
    bootId: 5,
    seq: 1,
    epochStartUnixMs: Date.now(),
    epochMs: 5000,
    records,
    ledgers: [],
    lost: undefined,
  }
}

function deltasOf(entries: Buffer): HostDeltas {
  return { seq: 1, coversUs: 1, nowUnixMs: 1, entries, incoming: undefined, outgoing: undefined }
}

function iface(index: number) {
  return { index, name: 'eth0', ifindex: 2, boundary: 1, attachMode: 'native', speedBps: 0 }
}
