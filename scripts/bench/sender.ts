// SPDX-License-Identifier: Apache-2.0
//
// A process that pushes flow records over gRPC as an agent would, as fast as told, and prints what it did. Started by
// the benches with JSON in argv[2].
import { setTimeout as sleep } from 'node:timers/promises'
import { TestAgent } from '@flowdam/aggregator/internal/testing/agent-client'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { encodeDelta, RECORD_SIZE } from '@flowdam/proto'

export interface SenderTask {
  address: string
  agentId: string
  /** Ends after so many records … */
  records: number
  /** … sent at most at this rate, records/s; 0 for no limit. */
  rate: number
  /** Host delta messages of so many addresses, ten a second; 0 for none. */
  deltaAddresses: number
}

export interface SenderReport {
  records: number
  packets: number
  bytes: number
  /** Until the last acknowledgement. */
  seconds: number
  cpuSeconds: number
  startedUnixMs: number
}

const BATCH = 16_384
/** Different batches; more than fit the processor's caches. */
const POOL = 64

async function main(task: SenderTask): Promise<SenderReport> {
  const pool = Array.from({ length: POOL }, (_, index) => makeRecords(BATCH, index))
  const agent = new TestAgent({
    address: task.address,
    agentId: task.agentId,
    bootId: Date.now(),
    window: 128,
  })
  await agent.connect()
  const deltas = task.deltaAddresses > 0 ? startDeltas(agent, task.deltaAddresses) : undefined
  const cpuBefore = process.cpuUsage()
  const startedUnixMs = Date.now()
  const began = performance.now()
  const report = { records: 0, packets: 0, bytes: 0 }
  for (let index = 0; report.records < task.records; index++) {
    const batch = pool[index % POOL]
    if (!batch) break
    if (task.rate > 0) {
      const dueMs = (report.records / task.rate) * 1000 - (performance.now() - began)
      if (dueMs > 1) await sleep(dueMs)
    }
    await agent.send(batch.records, Date.now() - 5000)
    if (agent.error) throw agent.error
    report.records += batch.records.length / RECORD_SIZE
    report.packets += batch.sums.packets
    report.bytes += batch.sums.bytes
  }
  await agent.drained()
  const seconds = (performance.now() - began) / 1000
  clearInterval(deltas)
  const { user, system } = process.cpuUsage(cpuBefore)
  agent.disconnect()
  return { ...report, seconds, cpuSeconds: (user + system) / 1e6, startedUnixMs }
}

/** Ordinary traffic for the detector: each address 100 packets in a tenth of a second. */
function startDeltas(agent: TestAgent, addresses: number): NodeJS.Timeout {
  const entries = Buffer.alloc(addresses * 40)
  for (let i = 0; i < addresses; i++) {
    const addr = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 203, 0, 113 + (i >> 8), i & 255])
    encodeDelta(
      { addr, direction: 0, class: 1, marks: 0, vector: 0, flows: 1, packets: 100, bytes: 60_000 },
      entries,
      i * 40,
    )
  }
  const totals = { packets: addresses * 100, bytes: addresses * 60_000, flows: addresses }
  let seq = 0
  return setInterval(() => {
    agent.write({
      message: {
        $case: 'hostDeltas',
        value: {
          seq: ++seq,
          coversUs: 100_000,
          nowUnixMs: Date.now(),
          entries,
          incoming: totals,
          outgoing: undefined,
        },
      },
    })
  }, 100)
}

if (process.argv[2]) {
  const report = await main(JSON.parse(process.argv[2]) as SenderTask)
  process.stdout.write(`${JSON.stringify(report)}\n`)
  process.exit(0)
}
