// SPDX-License-Identifier: Apache-2.0
//
// The agent's half of the stream without a kernel, and an aggregator's half without a database.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BatchQueue } from '@flowdam/agent/internal/stream/batch-queue'
import type { ConnectionTarget } from '@flowdam/agent/internal/stream/connection'
import { DeadLetters } from '@flowdam/agent/internal/stream/dead-letters'
import { DiskSpool } from '@flowdam/agent/internal/stream/spool/disk-spool'
import { Uplink } from '@flowdam/agent/internal/stream/uplink'
import type { AppendResult, BatchSink } from '@flowdam/aggregator/internal/contracts'
import { DropCounter } from '@flowdam/aggregator/internal/drops'
import { anyPort, GrpcEndpoint } from '@flowdam/aggregator/internal/grpc/endpoint'
import type { ServerTls } from '@flowdam/aggregator/internal/grpc/tls'
import { IngestServer } from '@flowdam/aggregator/internal/ingest/server'
import { SourceRegistry } from '@flowdam/aggregator/internal/sources/registry'
import { createLogger, formatHostPort } from '@flowdam/common'
import { type Config, type FlowBatch, type HostDeltas, PROTOCOL_VERSION, RECORD_SIZE } from '@flowdam/proto'
import { credentials } from '@grpc/grpc-js'

export const log = createLogger('test')
log.level = process.env['FLOWDAM_TEST_LOG'] ?? 'silent'

/** What arrived, in the order in which it did. */
export type Arrival = { kind: 'batch'; batch: FlowBatch } | { kind: 'deltas'; deltas: HostDeltas }

/** A spool that is durable at once and outlives its server. */
export class Sink implements BatchSink {
  readonly queueBytes = 256 << 20
  readonly arrivals: Arrival[] = []
  readonly #last = new Map<string, number>()
  duplicates = 0

  async append(agent: { id: string }, batch: FlowBatch): Promise<AppendResult> {
    if (batch.seq <= this.lastSeq(agent.id, batch.bootId)) {
      this.duplicates++
      return 'duplicate'
    }
    this.#last.set(`${agent.id}/${batch.bootId}`, batch.seq)
    this.arrivals.push({ kind: 'batch', batch })
    return 'stored'
  }
  lastSeq(agentId: string, bootId: number): number {
    return this.#last.get(`${agentId}/${bootId}`) ?? 0
  }
  hasRoom(): boolean {
    return true
  }
  async room(): Promise<void> {}

  get batches(): FlowBatch[] {
    return this.arrivals.flatMap((one) => (one.kind === 'batch' ? [one.batch] : []))
  }
  get deltas(): HostDeltas[] {
    return this.arrivals.flatMap((one) => (one.kind === 'deltas' ? [one.deltas] : []))
  }
}

export interface ReceiverOptions {
  sink?: Sink
  /** Where batches go instead, if not to the sink. */
  batches?: BatchSink
  tls?: () => ServerTls
  config?: Config
  /** What the wire, or a memory, does to messages before they are read. */
  damage?: (bytes: Buffer) => Buffer
  handshakeMs?: number
}

/** An aggregator as far as agents see it. Can be stopped and started again on the same port. */
export class Receiver {
  readonly drops = new DropCounter()
  readonly sink: Sink
  ingest: IngestServer | undefined
  /** That were read from streams, whatever was in them. */
  messages = 0
  #grpc: GrpcEndpoint | undefined
  #sources: SourceRegistry | undefined
  #folder = ''
  #port = 0
  readonly #tls: (() => ServerTls) | undefined
  readonly #config: Config
  readonly #batches: BatchSink
  readonly #damage: (bytes: Buffer) => Buffer
  readonly #handshakeMs: number | undefined

  constructor(options: ReceiverOptions = {}) {
    this.sink = options.sink ?? new Sink()
    this.#batches = options.batches ?? this.sink
    this.#tls = options.tls
    this.#handshakeMs = options.handshakeMs
    this.#damage = options.damage ?? ((bytes) => bytes)
    this.#config = options.config ?? { networks: ['203.0.113.0/24'], exemptRemote: [], pace: undefined }
  }

  get port(): number {
    return this.#port
  }
  get address(): string {
    return `127.0.0.1:${this.#port}`
  }

  async start(): Promise<void> {
    this.#folder = mkdtempSync(join(tmpdir(), 'flowdam-receiver-'))
    this.#sources = new SourceRegistry(this.#folder)
    this.#sources.start()
    const { sink } = this
    this.ingest = new IngestServer({
      deltas: {
        onHostDeltas: (_agent, deltas) => sink.arrivals.push({ kind: 'deltas', deltas }),
        onAgentState: () => undefined,
      },
      batches: this.#batches,
      sources: this.#sources,
      drops: this.drops,
      log,
      config: this.#config,
      certificates: this.#tls !== undefined,
    })
    this.ingest.start()
    const listen = this.#port === 0 ? anyPort() : { host: '127.0.0.1', port: this.#port }
    this.#grpc = new GrpcEndpoint({
      ...{ listen, tls: this.#tls?.(), drops: this.drops, log },
      ...(this.#handshakeMs !== undefined && { handshakeMs: this.#handshakeMs }),
    })
    const { definition } = this.ingest
    const { requestDeserialize } = definition.stream
    const counting = (bytes: Buffer) => {
      this.messages++
      return requestDeserialize(this.#damage(bytes))
    }
    const stream = { ...definition.stream, requestDeserialize: counting }
    this.#grpc.add({ ...definition, stream }, this.ingest.service)
    await this.#grpc.start()
    this.#port = Number(formatHostPort(this.#grpc.address).split(':')[1])
  }

  async stop(): Promise<void> {
    this.ingest?.stop()
    await this.#grpc?.stop()
    this.#sources?.stop()
    if (this.#folder) rmSync(this.#folder, { recursive: true, force: true })
    this.#grpc = undefined
    this.#folder = ''
  }
}

/** Host deltas as the agent's reader gives them: what was not taken adds up in the next message. */
export class FakeDeltas {
  #seq = 0
  #pending = 0
  #made = 0
  /** All that was ever added; the sum of what arrives must be this. */
  get made(): number {
    return this.#made
  }
  add(packets: number): void {
    this.#pending += packets
    this.#made += packets
  }
  skipTo(seq: number): void {
    this.#seq = Math.max(this.#seq, seq)
  }
  take(): HostDeltas[] {
    const packets = this.#pending
    this.#pending = 0
    const incoming = { packets, bytes: packets * 100, flows: 0 }
    const outgoing = { packets: 0, bytes: 0, flows: 0 }
    return [
      { seq: ++this.#seq, coversUs: 1, nowUnixMs: Date.now(), entries: Buffer.alloc(0), incoming, outgoing },
    ]
  }
}

export interface SenderOptions {
  targets: readonly (string | ConnectionTarget)[]
  agentId?: string
  bootId?: number
  /** Records a second. */
  exportRate?: number
  memory?: number
  spool?: string
  returnEveryMs?: number
  protocolVersion?: number
  runId?: number
}

/** An agent's queue, spool and uplink; tests make its batches. */
export class Sender {
  readonly queue: BatchQueue
  readonly deadLetters: DeadLetters | undefined
  readonly uplink: Uplink
  readonly deltas = new FakeDeltas()
  config: Config | undefined
  readonly bootId: number
  readonly runId: number
  #seq = 0

  constructor(options: SenderOptions) {
    this.runId = options.runId ?? Date.now()
    const { agentId = 'edge1', bootId = 5, spool, memory = 64 << 20 } = options
    this.bootId = bootId
    this.deadLetters =
      spool === undefined
        ? undefined
        : new DeadLetters({ path: `${spool}.refused.jsonl`, maxBytes: 1 << 20, log })
    this.queue = new BatchQueue({
      maxBytes: memory,
      spool: spool === undefined ? undefined : new DiskSpool({ folder: spool, maxBytes: 1e9 }),
      deadLetters: this.deadLetters,
      log,
    })
    const { runId } = this
    this.uplink = new Uplink({
      targets: options.targets.map((target) =>
        typeof target === 'string'
          ? { address: target, overTls: false, credentials: () => credentials.createInsecure() }
          : target,
      ),
      queue: this.queue,
      deltas: this.deltas,
      hello: () => ({
        protocolVersion: options.protocolVersion ?? PROTOCOL_VERSION,
        agentId,
        bootId,
        version: 'test',
        hostname: 'test',
        kernel: 'test',
        recordSize: RECORD_SIZE,
        interfaces: { interfaces: [] },
        nowUnixMs: Date.now(),
        oldestSeq: this.queue.oldestSeq(bootId),
        ackedSeq: this.queue.ackedSeq(bootId),
        runId,
      }),
      madeSeq: () => this.#seq,
      numberFrom: (seq) => {
        this.#seq = Math.max(this.#seq, seq - 1)
      },
      interfaces: () => ({ interfaces: [] }),
      heartbeat: () => ({
        nowUnixMs: Date.now(),
        queuedBatches: this.queue.batches,
        queuedRecords: this.queue.records,
        droppedRecords: {},
        droppedPackets: {},
        droppedBytes: {},
        lawViolations: 0,
        cpuUs: 0,
        rssBytes: 0,
        queuedBytes: this.queue.bytes,
        spoolBytes: this.queue.spoolBytes,
        spoolMaxBytes: this.queue.spoolMaxBytes,
        oldestAgeMs: this.queue.oldestAgeMs,
        spoolErrors: this.queue.spoolErrors,
        maybeDoubledRecords: this.uplink.doubles.maybe,
        dropRules: false,
        dropped: [],
        clockSteps: 0,
        queueMaxBytes: this.queue.maxBytes,
      }),
      config: (config) => {
        this.config = config
      },
      rules: () => undefined,
      log,
      deadLetters: this.deadLetters,
      exportRate: options.exportRate ?? 1e9,
      ...(options.returnEveryMs !== undefined && { returnEveryMs: options.returnEveryMs }),
    })
  }

  start(): void {
    this.queue.start()
    this.uplink.start()
  }

  /** A batch whose records all carry its number. */
  push(records: number): number {
    return this.pushRecords(Buffer.alloc(records * RECORD_SIZE, (this.#seq + 1) & 0xff))
  }

  pushRecords(records: Buffer): number {
    return this.pushBatch({ records }).seq
  }

  pushBatch(fields: Partial<FlowBatch>): FlowBatch {
    const batch: FlowBatch = {
      bootId: this.bootId,
      seq: ++this.#seq,
      epochStartUnixMs: Date.now(),
      epochMs: 100,
      records: Buffer.alloc(0),
      ledgers: [],
      lost: undefined,
      ...fields,
    }
    this.queue.push(batch)
    this.uplink.pump()
    return batch
  }

  async stop(waitMs = 0): Promise<void> {
    await this.uplink.stop(waitMs)
    await this.queue.stop(5000)
  }
}
