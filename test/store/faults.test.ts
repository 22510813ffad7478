// SPDX-License-Identifier: Apache-2.0
//
// The real daemon, ended with SIGKILL again and again while flows come in, and its database process too: what the
// agent was told is durable is in the store afterwards, once. FLOWDAM_FAULTS sets how many faults, FLOWDAM_SEED which.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { TestAgent } from '@flowdam/aggregator/internal/testing/agent-client'
import { TestDaemon } from '@flowdam/aggregator/internal/testing/daemon'
import { databaseOf } from '@flowdam/aggregator/internal/testing/processes'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { FlowServiceClient, type QueryFlowsResponse, StatusServiceClient } from '@flowdam/proto'
import { credentials } from '@grpc/grpc-js'

const FAULTS = Number(process.env['FLOWDAM_FAULTS'] ?? 8)
const SEED = Number(process.env['FLOWDAM_SEED'] ?? 1)
const BATCH = 1000

function totals(address: string): Promise<QueryFlowsResponse> {
  const client = new FlowServiceClient(address, credentials.createInsecure())
  return new Promise((resolve, reject) => {
    const request = {
      sinceUnixMs: Date.now() - 3_600_000,
      untilUnixMs: Date.now() + 3_600_000,
      host: '',
      src: '',
      dst: '',
      protocol: 0,
      port: 0,
      agent: '',
      limit: 1,
      aggregate: false,
      orderBy: '',
      pageToken: '',
    }
    client.queryFlows(request, (error, response) => {
      client.close()
      if (error) reject(error)
      else resolve(response)
    })
  })
}

async function spoolIsEmpty(address: string): Promise<void> {
  const client = new StatusServiceClient(address, credentials.createInsecure())
  for (;;) {
    const bytes = await new Promise<number>((resolve, reject) => {
      client.getStatus({}, (error, status) =>
        error ? reject(error) : resolve(status.store?.spoolBytes ?? 0),
      )
    })
    if (bytes === 0) break
    await sleep(100)
  }
  client.close()
}

// The limit is for a hang only.
describe('kill -9 while writing', { timeout: 800_000 }, () => {
  it(`after ${FAULTS} faults (seed ${SEED}) rows = records, packets and bytes too`, async (t) => {
    const daemon = new TestDaemon()
    t.after(() => daemon.cleanUp())
    // Small segments: many inserts, so that a fault meets one.
    writeFileSync(
      daemon.configFile,
      `listen: { grpc: '127.0.0.1:0', http: '127.0.0.1:0' }
networks: [203.0.113.0/24]
state: ${daemon.folder}/state
store:
  engine: embedded
  path: ${daemon.folder}/store
  spool: { segment_rows: 20k, segment_age: 100ms }
`,
    )
    let { grpc } = await daemon.start()
    let agent = new TestAgent({ address: grpc, agentId: 'edge1', bootId: 7, returns: true })
    await agent.connect()
    const sent = { records: 0, packets: 0, bytes: 0 }
    const random = makeRandom(SEED)
    const kinds: string[] = []
    let batchNumber = 0
    for (let fault = 0; fault < FAULTS; fault++) {
      const until = performance.now() + 200 + random() * 1500
      while (performance.now() < until) {
        const { records, sums } = makeRecords(BATCH, batchNumber++)
        await agent.send(records, Date.now() - 5000)
        sent.records += sums.records
        sent.packets += sums.packets
        sent.bytes += sums.bytes
        if (random() < 0.2) await sleep(5)
      }
      const database = databaseOf(daemon.pid)
      if (random() < 0.5 && database !== undefined) {
        kinds.push('database')
        process.kill(database, 'SIGKILL')
        continue
      }
      kinds.push('daemon')
      await daemon.end('SIGKILL')
      ;({ grpc } = await daemon.start())
      agent = agent.moved(grpc)
      await agent.connect()
    }
    await agent.drained()
    agent.disconnect()
    await spoolIsEmpty(grpc)
    const stored = await totals(grpc)
    t.diagnostic(`${sent.records} records, faults: ${kinds.join(' ')}`)
    assert.deepEqual(
      { records: stored.totalFlows, packets: stored.totalPackets, bytes: stored.totalBytes },
      sent,
    )
  })
})

function makeRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
