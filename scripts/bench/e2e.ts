// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { TestDaemon } from '@flowdam/aggregator/internal/testing/daemon'
import { cpuSeconds, databaseOf } from '@flowdam/aggregator/internal/testing/processes'
import {
  AttackServiceClient,
  FlowServiceClient,
  type GetStatusResponse,
  type ListAttacksResponse,
  type QueryFlowsResponse,
  StatusServiceClient,
} from '@flowdam/proto'
import { credentials } from '@grpc/grpc-js'
import { runSender } from './processes.js'
import type { Bench, BenchOptions, BenchResult } from './result.js'

const SECONDS = 60
const GOAL = 1e6
/** A little above the goal, so that falling behind shows. */
const OFFERED = 1.05e6

/** What is over thresholds meanwhile. */
const QUIET = '{ incoming: { pps: 100M } }'
/** A prefix, and all protected addresses together: far below what the sender says, so that a busy machine makes no pause of it. */
const ATTACKED =
  '{ incoming: { pps: 100M }, carpet: { ipv4/16: { incoming: { pps: 10k } } }, total: { incoming: { pps: 10k } } }'

/**
 * A sending process, the real aggregator with its detector at work, its database process: records per second from
 * the first byte sent until all of them are countable rows. Everything on this machine, fsync before each Ack.
 */
export const e2eFlows: Bench = (options) => measureFlows('e2e.flows', QUIET, options)

/** The same while what the records are of is under attack, so that each of them is looked at for its report. */
export const e2eFlowsAttacked: Bench = (options) => measureFlows('e2e.flows.attacked', ATTACKED, options)

async function measureFlows(
  id: string,
  thresholds: string,
  { log, seconds }: BenchOptions,
): Promise<BenchResult[]> {
  const duration = seconds ?? SECONDS
  const daemon = new TestDaemon()
  try {
    writeFileSync(
      daemon.configFile,
      `listen: { grpc: '127.0.0.1:0', http: '127.0.0.1:0' }
networks: [203.0.0.0/15, '2001:db8::/32']
thresholds: ${thresholds}
ban: { dry_run: true }
state: ${daemon.folder}/state
store: { engine: embedded, path: ${daemon.folder}/store }
`,
    )
    const { grpc } = await daemon.start()
    await daemon.logged('the store is ready')
    const status = new StatusServiceClient(grpc, credentials.createInsecure())
    const ask = () =>
      new Promise<GetStatusResponse>((resolve, reject) =>
        status.getStatus({}, (error, answer) => (error ? reject(error) : resolve(answer))),
      )
    const database = databaseOf(daemon.pid) ?? 0
    const before = [cpuSeconds(daemon.pid), cpuSeconds(database)] as const
    const watch = setInterval(() => {
      ask().then(
        ({ store, flows }) =>
          log(
            `${id}: received ${flows['received'] ?? 0}, stored ${store?.rowsStored ?? 0}, ${Math.round(store?.rowsPerSecond ?? 0)} rows/s, spool ${store?.spoolSegments ?? 0} segments, lag ${store?.lagMs ?? 0} ms`,
          ),
        () => undefined,
      )
    }, 5000)
    const sent = await runSender({
      address: grpc,
      agentId: 'bench',
      records: OFFERED * duration,
      rate: OFFERED,
      deltaAddresses: 256,
    })
    while ((await ask()).store?.spoolBytes) await sleep(20)
    const took = (Date.now() - sent.startedUnixMs) / 1000
    clearInterval(watch)
    const cpu = [cpuSeconds(daemon.pid) - before[0], cpuSeconds(database) - before[1]] as const
    const stored = await totals(grpc)
    const restarts = daemon.log.split('\n').filter((line) => line.includes('the database process ended'))
    if (restarts.length > 0) log(`${id}: the database process ended meanwhile: ${restarts[0]}`)
    const exact =
      stored.totalFlows === sent.records &&
      stored.totalPackets === sent.packets &&
      stored.totalBytes === sent.bytes
    if (!exact) {
      throw new Error(
        `sent ${sent.records} records, ${stored.totalFlows} rows; packets or bytes may differ too`,
      )
    }
    status.close()
    if (thresholds !== QUIET) {
      const looked = await flowsOfAttacks(grpc)
      if (looked.length === 0) throw new Error('there was no attack')
      log(`${id}: flows in the reports of attacks: ${looked.join(', ')}`)
    }
    const rate = sent.records / took
    const perMillion = (value: number) => (value / (sent.records / 1e6)).toFixed(3)
    log(
      `${id}: ${sent.records} records in ${took.toFixed(1)} s, all there once; CPU s per million: sender ${perMillion(sent.cpuSeconds)}, aggregator ${perMillion(cpu[0])}, database ${perMillion(cpu[1])}; acknowledged after ${sent.seconds.toFixed(1)} s`,
    )
    return [
      {
        id,
        value: rate,
        unit: 'records/s',
        reference: { what: 'ten times the 100 000/s that FastNetMon claims, records/s', value: GOAL },
        ratio: rate / GOAL,
        goal: 'ratio >= 1, none lost, none doubled',
        met: rate >= GOAL,
        runs: [rate],
      },
    ]
  } finally {
    await daemon.cleanUp()
  }
}

/** How many flow records each attack's report is made of. */
async function flowsOfAttacks(address: string): Promise<number[]> {
  const client = new AttackServiceClient(address, credentials.createInsecure())
  const request = { includeEnded: true, limit: 100, pageToken: '' }
  const { attacks } = await new Promise<ListAttacksResponse>((resolve, reject) =>
    client.listAttacks(request, (error, answer) => (error ? reject(error) : resolve(answer))),
  )
  client.close()
  return attacks.map(({ detail }) => detail?.flows ?? 0)
}

function totals(address: string): Promise<QueryFlowsResponse> {
  const client = new FlowServiceClient(address, credentials.createInsecure())
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
  return new Promise((resolve, reject) => {
    client.queryFlows(request, (error, response) => {
      client.close()
      if (error) reject(error)
      else resolve(response)
    })
  })
}
