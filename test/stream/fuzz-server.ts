// SPDX-License-Identifier: Apache-2.0
//
// A program of its own, so that its memory can be measured: ingest with the real detector and the real spool behind
// it. Answers each message of its parent with what it has counted.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { statusService } from '@flowdam/aggregator/internal/api/status-service'
import type { Attacks } from '@flowdam/aggregator/internal/attacks/attacks'
import type { Bans } from '@flowdam/aggregator/internal/bans/bans'
import { newFlowCounters } from '@flowdam/aggregator/internal/contracts'
import { Detector } from '@flowdam/aggregator/internal/detect/detector'
import { PolicySet } from '@flowdam/aggregator/internal/detect/policies'
import { DropCounter } from '@flowdam/aggregator/internal/drops'
import { anyPort, GrpcEndpoint } from '@flowdam/aggregator/internal/grpc/endpoint'
import { IngestServer } from '@flowdam/aggregator/internal/ingest/server'
import { SourceRegistry } from '@flowdam/aggregator/internal/sources/registry'
import { SPOOL_DEFAULTS } from '@flowdam/aggregator/internal/spool/options'
import { Spool } from '@flowdam/aggregator/internal/spool/spool'
import { ClockWatch, createLogger, parsePrefix } from '@flowdam/common'
import {
  BanControl,
  type GetStatusResponse,
  type ListAgentsResponse,
  RECORD_SIZE,
  RecordOffset,
  StatusServiceService,
  StoreStatus,
} from '@flowdam/proto'

export interface Report {
  /** Read from streams, whatever was in them. */
  messages: number
  /** Of the agent "honest". */
  honestRecords: number
  honestPackets: number
  detections: number
  /** Of the API's answers, encoded. */
  statusBytes: number
  agentsBytes: number
  spooled: number
  rss: number
  heap: number
  /** Open files and sockets. */
  files: number
  timers: number
  connected: number
  agents: number
  /** Streams that another of the same agent took over. */
  replaced: number
  drops: { stage: string; reason: string; count: number }[]
}

const folder = mkdtempSync(join(tmpdir(), 'flowdam-fuzz-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
process.on('disconnect', () => process.exit(0))

const counted = { messages: 0, honestRecords: 0, honestPackets: 0 }
const log = createLogger('fuzz')
const drops = new DropCounter()
const flows = newFlowCounters()
const sources = new SourceRegistry(folder)
sources.start()
const network = parsePrefix('203.0.113.0/24')
const detector = new Detector({
  policies: new PolicySet({
    networks: [network],
    thresholds: { incoming: { pps: 1000, bps: 1e6 }, outgoing: { flows: 100 }, window: 1000 },
    hostgroups: [],
  }),
  onDetection: () => undefined,
})
const spool = new Spool({
  ...SPOOL_DEFAULTS,
  directory: join(folder, 'spool'),
  maxBytes: 256e6,
  fsync: 'never',
  beforeCommit: () => sources.sync(),
  drops,
  flows,
  log,
})
spool.onSealed = () => void load()
await spool.start()
const ingest = new IngestServer({
  deltas: {
    onHostDeltas: (agentId, deltas, at) => {
      if (agentId === 'honest') counted.honestPackets += deltas.incoming?.packets ?? 0
      detector.onHostDeltas(agentId, deltas, at)
    },
    onAgentState: (agent, event) => detector.onAgentState(agent, event),
  },
  batches: spool,
  sources,
  drops,
  log,
  config: { networks: ['203.0.113.0/24'], exemptRemote: [], pace: undefined },
})
const { definition } = ingest
const requestDeserialize = (bytes: Buffer) => {
  counted.messages++
  return definition.stream.requestDeserialize(bytes)
}
const grpc = new GrpcEndpoint({ listen: anyPort(), drops, log })
grpc.add({ ...definition, stream: { ...definition.stream, requestDeserialize } }, ingest.service)
detector.start()
ingest.start()
await grpc.start()
process.send?.({ port: grpc.address.port })

/** Where the database would be. */
async function load(): Promise<void> {
  for (let segment = spool.take(); segment; segment = spool.take()) {
    const bytes = await readFile(segment.path)
    for (let at = 0; at < bytes.length; at += RECORD_SIZE) {
      const source = sources.get(bytes.readUInt16LE(at + RecordOffset.source))
      if (source?.agent === 'honest') counted.honestRecords++
    }
    await spool.release(segment)
  }
}

/** What people ask when something is wrong must be answered then: hostile numbers must still fit their fields. */
function answerStatus(): Promise<number[]> {
  const { getStatus, listAgents } = statusService(
    {
      startedUnixMs: 1,
      detector,
      bans: { activeCount: 0, rules: { dryRun: false }, brake: BanControl.create() } as unknown as Bans,
      attacks: { activeCount: 0 } as unknown as Attacks,
      drops,
      flows,
      agents: () => ingest.agents(),
      ledger: () => ingest.ledger(),
      clock: new ClockWatch({ log }),
      storeStatus: () => StoreStatus.create(),
    },
    log,
  )
  const { getStatus: status, listAgents: agents } = StatusServiceService
  return Promise.all([
    lengthOf(getStatus as Unary<GetStatusResponse>, status.responseSerialize),
    lengthOf(listAgents as Unary<ListAgentsResponse>, agents.responseSerialize),
  ])
}

type Unary<T> = (call: unknown, done: (error: unknown, answer?: T) => void) => void

function lengthOf<T>(method: Unary<T>, serialize: (answer: T) => Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = { request: {}, on: () => undefined, once: () => undefined, off: () => undefined }
    method(call, (error, answer) => (answer ? resolve(serialize(answer).length) : reject(error)))
  })
}

process.on('message', () => {
  void spool.flush().then(load).then(answerStatus).then(report)
})

function report([statusBytes = 0, agentsBytes = 0]: number[]): void {
  globalThis.gc?.()
  const answer: Report = {
    ...counted,
    statusBytes,
    agentsBytes,
    detections: detector.detections,
    spooled: flows.spooled,
    rss: process.memoryUsage.rss(),
    heap: process.memoryUsage().heapUsed,
    files: readdirSync('/proc/self/fd').length,
    timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
    connected: ingest.connected,
    agents: ingest.agents().length,
    replaced: ingest.agents().reduce((sum, agent) => sum + agent.replacedStreams, 0),
    drops: drops.snapshot(),
  }
  process.send?.(answer)
}
