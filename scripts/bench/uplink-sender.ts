// SPDX-License-Identifier: Apache-2.0
//
// A process with the agent's half of the stream (queue and uplink, no kernel) that sends records as fast as they are
// taken, and prints what it did. Started by the benches with JSON in argv[2].
import { BatchQueue } from '@flowdam/agent/internal/stream/batch-queue'
import { Uplink } from '@flowdam/agent/internal/stream/uplink'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { createLogger } from '@flowdam/common'
import { Heartbeat, PROTOCOL_VERSION, RECORD_SIZE } from '@flowdam/proto'
import { credentials } from '@grpc/grpc-js'

export interface UplinkTask {
  address: string
  records: number
}

export interface UplinkReport {
  records: number
  /** From Welcome until the last acknowledgement. */
  seconds: number
  cpuSeconds: number
}

const BATCH = 16_384
/** Different batches; more than fit the processor's caches. */
const POOL = 64
/** Enough for the longest path here; less than the queue may hold. */
const WAITING_BYTES = 64 << 20
const BOOT_ID = Date.now()

async function main({ address, records }: UplinkTask): Promise<UplinkReport> {
  const pool = Array.from({ length: POOL }, (_, index) => makeRecords(BATCH, index).records)
  const queue = new BatchQueue({ maxBytes: 4 * WAITING_BYTES })
  let welcomed = () => {}
  const welcome = new Promise<void>((resolve) => {
    welcomed = resolve
  })
  const uplink = new Uplink({
    targets: [{ address, overTls: false, credentials: () => credentials.createInsecure() }],
    queue,
    deltas: { take: () => [], skipTo: () => undefined },
    madeSeq: () => queue.madeSeq(BOOT_ID),
    numberFrom: () => undefined,
    hello: () => ({
      protocolVersion: PROTOCOL_VERSION,
      agentId: 'bench',
      bootId: BOOT_ID,
      version: 'bench',
      hostname: 'bench',
      kernel: 'bench',
      recordSize: RECORD_SIZE,
      interfaces: { interfaces: [] },
      nowUnixMs: Date.now(),
      oldestSeq: 1,
      ackedSeq: 0,
      runId: 1,
    }),
    interfaces: () => ({ interfaces: [] }),
    heartbeat: () => Heartbeat.create(),
    config: () => welcomed(),
    rules: () => undefined,
    log: createLogger('bench'),
    exportRate: 1e12,
  })
  uplink.start()
  await welcome
  const cpuBefore = process.cpuUsage()
  const began = performance.now()
  const batches = Math.ceil(records / BATCH)
  await new Promise<void>((resolve) => {
    let seq = 0
    const timer = setInterval(() => {
      while (seq < batches && queue.bytes < WAITING_BYTES) {
        const bytes = pool[seq % POOL] as Buffer
        const now = Date.now()
        queue.push({
          bootId: BOOT_ID,
          seq: ++seq,
          epochStartUnixMs: now,
          epochMs: 5000,
          records: bytes,
          ledgers: [],
          lost: undefined,
        })
      }
      uplink.pump()
      if (seq < batches || queue.batches > 0) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
  const seconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpuBefore)
  return { records: batches * BATCH, seconds, cpuSeconds: (user + system) / 1e6 }
}

const report = await main(JSON.parse(process.argv[2] ?? '{}') as UplinkTask)
process.stdout.write(`${JSON.stringify(report)}\n`)
process.exit(0)
