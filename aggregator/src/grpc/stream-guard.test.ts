// SPDX-License-Identifier: Apache-2.0
//
// Raw HTTP/2 against the real port: what gRPC clients never do.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { formatHostPort, VERSION } from '@flowdam/common'
import { PROTOCOL_VERSION, RECORD_SIZE, StreamRequest } from '@flowdam/proto'
import { DropCounter } from '../drops.js'
import { IngestServer } from '../ingest/server.js'
import { SourceRegistry } from '../sources/registry.js'
import { until } from '../testing/daemon.js'
import { quietLog } from '../testing/quiet-log.js'
import { ANY_BATCH, NO_DETECTOR } from '../testing/sinks.js'
import { anyPort, GrpcEndpoint } from './endpoint.js'

const BUDGET = 1 << 20
const CALM = constants.NGHTTP2_ENHANCE_YOUR_CALM

function frame(message: Uint8Array, { announced = message.length, compressed = 0 } = {}): Buffer {
  const head = Buffer.alloc(5)
  head[0] = compressed
  head.writeUInt32BE(announced, 1)
  return Buffer.concat([head, message])
}

function hello(agentId: string, hostname = ''): Buffer {
  const value = {
    protocolVersion: PROTOCOL_VERSION,
    agentId,
    bootId: 1,
    version: VERSION,
    hostname,
    kernel: '',
    recordSize: RECORD_SIZE,
    interfaces: undefined,
    nowUnixMs: 0,
    oldestSeq: 0,
    ackedSeq: 0,
    runId: 1,
  }
  return frame(StreamRequest.encode({ message: { $case: 'hello', value } }).finish())
}

describe('stream guard', { timeout: 300_000 }, () => {
  const log = quietLog()
  let directory: string
  let drops: DropCounter
  let sources: SourceRegistry
  let ingest: IngestServer
  let grpc: GrpcEndpoint
  let session: ClientHttp2Session

  const open = (): ClientHttp2Stream => {
    const call = session.request({
      ':method': 'POST',
      ':path': '/flowdam.v1.IngestService/Stream',
      'content-type': 'application/grpc',
      'grpc-encoding': 'gzip',
      te: 'trailers',
    })
    call.on('error', () => undefined)
    return call.resume()
  }
  const welcomed = async (agentId: string): Promise<ClientHttp2Stream> => {
    const call = open()
    call.write(hello(agentId))
    await once(call, 'data')
    return call
  }
  const closed = async (call: ClientHttp2Stream): Promise<number> => {
    if (!call.closed) await new Promise((resolve) => call.once('close', resolve))
    return call.rstCode
  }

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'flowdam-guard-'))
    drops = new DropCounter()
    sources = new SourceRegistry(directory)
    sources.start()
    ingest = new IngestServer({
      deltas: NO_DETECTOR,
      batches: ANY_BATCH,
      sources,
      drops,
      log,
      config: { networks: [], exemptRemote: [], pace: undefined },
    })
    grpc = new GrpcEndpoint({
      listen: anyPort(),
      drops,
      log,
      guard: { unfinishedBytes: BUDGET, lingerMs: 100 },
    })
    grpc.add(ingest.definition, ingest.service)
    ingest.start()
    await grpc.start()
    session = connect(`http://${formatHostPort(grpc.address)}`)
  })
  afterEach(async () => {
    session.destroy()
    ingest.stop()
    await grpc.stop()
    sources.stop()
    rmSync(directory, { recursive: true })
  })

  it('a first message is small, or the stream is reset', async () => {
    const call = open()
    call.write(hello('edge1', 'h'.repeat(65_536)))
    assert.equal(await closed(call), CALM)
    assert.deepEqual(drops.snapshot(), [{ stage: 'ingest', reason: 'too_large', count: 1 }])
  })

  it('nothing is decompressed', async () => {
    const call = await welcomed('edge1')
    call.write(frame(Buffer.alloc(100), { compressed: 1 }))
    assert.equal(await closed(call), CALM)
    assert.equal(drops.get('ingest', 'compressed'), 1)
    await until('the agent to be gone', () => ingest.connected === 0)
  })

  it('a message beyond the limit is refused by its announcement', async () => {
    const call = await welcomed('edge1')
    call.write(frame(Buffer.alloc(10), { announced: 9 << 20 }))
    assert.equal(await closed(call), CALM)
    assert.equal(drops.get('ingest', 'too_large'), 1)
  })

  it('unfinished messages share a budget, and the oldest goes first', async () => {
    const calls: ClientHttp2Stream[] = []
    // Each three quarters of a message that never ends; five are above the budget.
    for (let i = 0; i < 5; i++) {
      const call = await welcomed(`edge${i}`)
      calls.push(call)
      call.write(frame(Buffer.alloc(BUDGET / 4), { announced: BUDGET / 3 }))
      await until('its bytes', () => grpc.unfinishedBytes >= Math.min(4, i + 1) * (BUDGET / 4))
    }
    assert.equal(await closed(calls[0] as ClientHttp2Stream), CALM)
    assert.equal(drops.get('ingest', 'unfinished'), 1)
    assert.ok(grpc.unfinishedBytes <= BUDGET)
    await until('one agent to be gone', () => ingest.connected === 4)
    for (const call of calls) call.close(constants.NGHTTP2_CANCEL)
    await until('all to be free', () => grpc.unfinishedBytes === 0)
  })

  it('a refused stream does not stay for as long as its client likes', async () => {
    const call = open()
    const trailers = once(call, 'trailers')
    call.write(Buffer.concat([hello('edge1'), hello('edge1')]))
    const [{ 'grpc-status': status }] = await trailers
    assert.equal(status, '3')
    assert.equal(await closed(call), constants.NGHTTP2_NO_ERROR)
  })

  it('what is no protobuf, right behind Hello and the last word, is answered', async () => {
    const call = open()
    const trailers = once(call, 'trailers')
    call.end(Buffer.concat([hello('edge1'), frame(Buffer.from([0x0b]))]))
    const [{ 'grpc-status': status, 'grpc-message': message }] = await trailers
    assert.equal(status, '3')
    assert.match(String(message), /FD_MESSAGE/)
    assert.equal(drops.get('ingest', 'bad_message'), 1)
    await closed(call)
    assert.equal(ingest.connected, 0)
  })
})
