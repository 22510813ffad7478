// SPDX-License-Identifier: Apache-2.0
//
// Real gRPC, the real spool, a disk that stands still: agents are held up, host deltas are not, nothing is lost.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { formatHostPort } from '@flowdam/common'
import { RECORD_SIZE } from '@flowdam/proto'
import { status } from '@grpc/grpc-js'
import { newFlowCounters } from '../contracts.js'
import { DropCounter } from '../drops.js'
import { anyPort, GrpcEndpoint } from '../grpc/endpoint.js'
import { SourceRegistry } from '../sources/registry.js'
import { SPOOL_DEFAULTS } from '../spool/options.js'
import { Spool } from '../spool/spool.js'
import { TestAgent } from '../testing/agent-client.js'
import { until } from '../testing/daemon.js'
import { TestDisk } from '../testing/disk.js'
import { quietLog } from '../testing/quiet-log.js'
import { makeRecords } from '../testing/records.js'
import { windowBytes } from './backpressure.js'
import { IngestServer } from './server.js'

const QUEUE = 4 << 20
const BATCH = 4096

describe('a disk that stands still', { timeout: 300_000 }, () => {
  const log = quietLog()
  let directory: string
  let disk: TestDisk
  let drops: DropCounter
  let flows: ReturnType<typeof newFlowCounters>
  let sources: SourceRegistry
  let spool: Spool
  let ingest: IngestServer
  let grpc: GrpcEndpoint
  let deltas: number
  const agents: TestAgent[] = []

  const agent = (agentId: string, obeys: boolean): TestAgent => {
    const made = new TestAgent({
      address: formatHostPort(grpc.address),
      agentId,
      bootId: 1,
      window: 1000,
      obeys,
    })
    agents.push(made)
    return made
  }
  const sendDeltas = (from: TestAgent, seq: number) =>
    from.write({
      message: {
        $case: 'hostDeltas',
        value: {
          seq,
          coversUs: 100_000,
          nowUnixMs: Date.now(),
          entries: Buffer.alloc(0),
          incoming: undefined,
          outgoing: undefined,
        },
      },
    })

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'flowdam-pressure-'))
    disk = new TestDisk()
    drops = new DropCounter()
    flows = newFlowCounters()
    deltas = 0
    sources = new SourceRegistry(directory)
    sources.start()
    spool = new Spool({
      ...SPOOL_DEFAULTS,
      maxAgeMs: 1e9,
      queueBytes: QUEUE,
      directory: join(directory, 'spool'),
      drops,
      flows,
      log,
      openFile: disk.openFile,
    })
    await spool.start()
    ingest = new IngestServer({
      deltas: { onHostDeltas: () => deltas++, onAgentState: () => undefined },
      batches: spool,
      sources,
      drops,
      log,
      config: { networks: [], exemptRemote: [], pace: undefined },
    })
    ingest.start()
    grpc = new GrpcEndpoint({ listen: anyPort(), drops, log })
    grpc.add(ingest.definition, ingest.service)
    await grpc.start()
  })
  afterEach(async () => {
    for (const one of agents.splice(0)) one.disconnect()
    ingest.stop()
    await grpc.stop()
    await spool.stop()
    sources.stop()
    rmSync(directory, { recursive: true })
  })

  it('an agent waits at its window, its host deltas arrive, and all is stored once', async () => {
    const edge = agent('edge1', true)
    await edge.connect()
    const go = disk.stall()
    const { records } = makeRecords(BATCH, 1)
    let sent = 0
    const sending = (async () => {
      for (let i = 0; i < 40; i++) {
        await edge.send(records, Date.now())
        sent++
      }
    })()
    const window = windowBytes(QUEUE, 1)
    await until('the window to fill', () => (sent + 1) * records.length > window && sent)
    for (let seq = 1; seq <= 20; seq++) sendDeltas(edge, seq)
    await until('the deltas', () => deltas === 20)
    assert.ok(spool.status().queuedBytes <= window)
    assert.equal(edge.acked, 0)
    go()
    await sending
    await edge.drained()
    assert.deepEqual(flows, { received: 40 * BATCH, duplicate: 0, spooled: 40 * BATCH, stored: 0 })
    assert.deepEqual(drops.snapshot(), [])
    assert.equal(edge.error, undefined)
  })

  it('one that does not care is sent away when there is room, sends again, and loses nothing either', async () => {
    let edge = agent('edge1', false)
    await edge.connect()
    const go = disk.stall()
    const { records } = makeRecords(BATCH, 1)
    for (let i = 0; i < 40; i++) await edge.send(records, Date.now())
    await until('the queue to fill', () => !spool.hasRoom(records.length))
    for (let seq = 1; seq <= 20; seq++) sendDeltas(edge, seq)
    await until('the deltas', () => deltas === 20)
    assert.ok(spool.status().queuedBytes <= QUEUE)
    go()
    const away = await edge.ended()
    assert.equal(away?.code, status.UNAVAILABLE)
    assert.match(away?.details ?? '', /FD_SPOOL_BUSY/)
    for (let left = true; left; ) {
      edge = edge.moved(formatHostPort(grpc.address))
      agents.push(edge)
      await edge.connect()
      left = await edge.drained().then(
        () => false,
        () => true,
      )
    }
    assert.equal(flows.spooled, 40 * BATCH)
    assert.equal(spool.status().bytes, 40 * BATCH * RECORD_SIZE)
    assert.deepEqual(drops.snapshot(), [])
  })
})

describe("agents' windows", () => {
  it('share half of the queue, a full batch at least', () => {
    for (const streams of [1, 2, 3, 7, 8, 100, 4096]) {
      const bytes = windowBytes(256e6, streams)
      assert.ok(bytes >= 1 << 20)
      assert.ok(bytes === 1 << 20 || bytes * streams <= 128e6)
    }
    assert.equal(windowBytes(256e6, 1), 16 << 20)
    assert.equal(windowBytes(256e6, 16), 4 << 20)
  })
})
