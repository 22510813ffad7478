// SPDX-License-Identifier: Apache-2.0
import { describeError, type Logger, VERSION } from '@flowdam/common'
import {
  type Config,
  type FlowBatch,
  type Hello,
  type HostDeltas,
  type Ledger,
  nameOfUnreadable,
  PROTOCOL_VERSION,
  type RefusedMessage,
  type Rules,
  type StreamRequest,
  type StreamResponse,
} from '@flowdam/proto'
import { type Metadata, type ServerDuplexStream, status } from '@grpc/grpc-js'
import type { BatchSink, DeltaSink } from '../contracts.js'
import type { DropCounter } from '../drops.js'
import { isClockWrong } from '../spool/pending.js'
import type { Agent } from './agent.js'
import { Gate } from './backpressure.js'
import { checkIdentity } from './identity.js'
import type { LogLimit } from './log-limit.js'
import { invalid, Refusal } from './refusal.js'
import { checkBatch, checkDeltas, checkHeartbeat, checkHello, checkInterfaces } from './validate.js'

const HELLO_WITHIN_MS = 10_000
/** Host deltas taken since the last confirmation; an agent keeps them until then. */
const CONFIRM_BYTES = 512 << 10

/** What a stream needs of its server. */
export interface StreamHost {
  readonly deltas: DeltaSink
  readonly batches: BatchSink
  readonly drops: DropCounter
  readonly log: Logger
  /** For lines that a client can cause as often as it likes. */
  readonly logLimit: LogLimit
  readonly config: Config
  readonly rules: Rules | undefined
  /** An agent's id must be in its certificate. */
  readonly certificates?: boolean
  /** What a stream may have unacknowledged, bytes. */
  readonly windowBytes: number
  /** Makes this the agent's one stream. Throws a Refusal. */
  claim(agentId: string, stream: AgentStream): Agent
  /** Whether it still was the agent's one stream. */
  release(agent: Agent, stream: AgentStream): boolean
  addLedgers(ledgers: Ledger[]): void
}

/** Stands for a message that is no protobuf; `refused`: its name, if that much could be read. */
export class Unreadable implements StreamRequest {
  readonly message = undefined
  readonly refused: RefusedMessage | undefined

  constructor(bytes: Uint8Array) {
    this.refused = nameOfUnreadable(bytes)
  }
}

type Call = ServerDuplexStream<StreamRequest, StreamResponse>

/** One agent's stream, from Hello to its end. */
export class AgentStream {
  readonly #call: Call
  readonly #host: StreamHost
  readonly #gate: Gate
  #agent: Agent | undefined
  #helloTimer: NodeJS.Timeout | undefined
  /** Newest seq to acknowledge, by boot; one Ack for all that became durable in one go. */
  readonly #acks = new Map<number, number>()
  #ackScheduled = false
  #unconfirmedBytes = 0
  #writable = true
  #ended = false

  constructor(call: Call, host: StreamHost) {
    this.#call = call
    this.#host = host
    this.#gate = new Gate(host.batches, () =>
      this.close(
        new Refusal(status.UNAVAILABLE, 'FD_SPOOL_BUSY: there is room again; send what was not acknowledged'),
      ),
    )
  }

  run(): void {
    this.#helloTimer = setTimeout(() => {
      this.close(new Refusal(status.DEADLINE_EXCEEDED, 'FD_HELLO: no Hello within 10 s', 'bad_hello'))
    }, HELLO_WITHIN_MS)
    this.#call.on('data', (request: StreamRequest) => {
      if (this.#ended) return
      try {
        this.#receive(request)
      } catch (error) {
        this.close(error)
      }
    })
    this.#call.on('end', () => {
      this.#finish()
      this.#call.end()
    })
    this.#call.on('cancelled', () => this.#finish())
    this.#call.on('error', () => this.#finish())
    this.#call.on('close', () => this.#finish())
    this.#call.on('drain', () => {
      this.#writable = true
      this.#sendAcks()
    })
  }

  sendConfig(config: Config): void {
    if (this.#agent) this.#send({ message: { $case: 'config', value: config } })
  }

  sendRules(rules: Rules): void {
    if (this.#agent) this.#send({ message: { $case: 'rules', value: rules } })
  }

  sendWindow(bytes: number): void {
    if (this.#agent) this.#send({ message: { $case: 'window', value: { bytes } } })
  }

  /** Ends the stream with a status; an error that is no Refusal is ours, and logged. */
  close(error: unknown): void {
    if (this.#ended) return
    const { drops, log } = this.#host
    let code = status.INTERNAL
    let details = 'FD_INTERNAL: the aggregator failed to handle a message; its log says more'
    let metadata: Metadata | undefined
    if (error instanceof Refusal) {
      code = error.code
      details = error.message
      metadata = error.metadata
      if (error.reason) drops.add('ingest', error.reason, 1)
      const line = { agent: this.#agent?.id, peer: this.#call.getPeer(), details }
      this.#host.logLimit.line((leftOut) => log.warn({ ...line, ...leftOut }, 'stream closed'))
    } else {
      log.error({ agent: this.#agent?.id, error: describeError(error) }, 'stream failed')
    }
    this.#finish()
    this.#call.emit('error', Object.assign(new Error(details), { code, details, metadata }))
  }

  #receive(request: StreamRequest): void {
    if (request instanceof Unreadable) {
      const text = 'FD_MESSAGE: protobuf cannot read a message; is it cut short?'
      throw invalid('bad_message', text, request.refused)
    }
    const { message } = request
    const now = Date.now()
    const agent = this.#agent
    if (message?.$case === 'hello') {
      if (agent) throw invalid('bad_hello', 'FD_HELLO: Hello came twice')
      this.#greet(message.value, now)
      return
    }
    if (!agent) throw invalid('bad_hello', 'FD_HELLO: the first message must be Hello')
    agent.lastSeenUnixMs = now
    switch (message?.$case) {
      case 'hostDeltas':
        this.#takeDeltas(agent, message.value, now)
        break
      case 'flowBatch':
        this.#takeBatch(agent, message.value)
        break
      case 'heartbeat':
        checkHeartbeat(message.value)
        this.#confirmDeltas(agent)
        agent.heard(message.value)
        agent.skew.observe(message.value.nowUnixMs, now)
        this.#judgeClock(agent)
        this.#host.deltas.onAgentState(agent, 'heartbeat')
        break
      case 'interfaces':
        checkInterfaces(message.value)
        agent.setInterfaces(message.value)
        this.#host.deltas.onAgentState(agent, 'interfaces')
        break
      default:
      // A newer agent's message that this version does not know: proto3 says to ignore it.
    }
  }

  #greet(hello: Hello, now: number): void {
    checkHello(hello)
    if (this.#host.certificates) checkIdentity(hello.agentId, this.#call.getAuthContext())
    clearTimeout(this.#helloTimer)
    const { batches, deltas, log, logLimit } = this.#host
    const agent = this.#host.claim(hello.agentId, this)
    this.#agent = agent
    agent.connected = true
    agent.lastSeenUnixMs = now
    agent.greet(hello)
    agent.skew.observe(hello.nowUnixMs, now)
    const ackedSeq = batches.lastSeq(agent.id, hello.bootId)
    this.#send({
      message: {
        $case: 'welcome',
        value: {
          protocolVersion: PROTOCOL_VERSION,
          aggregatorVersion: VERSION,
          ackedSeq,
          config: this.#host.config,
          nowUnixMs: now,
          confirmsDeltas: true,
          deltasSeq: agent.deltasSeq,
        },
      },
    })
    this.sendWindow(this.#host.windowBytes)
    if (this.#host.rules) this.sendRules(this.#host.rules)
    const line = { agent: agent.id, peer: this.#call.getPeer(), boot: hello.bootId, ackedSeq }
    logLimit.line((leftOut) => log.info({ ...line, ...leftOut }, 'agent connected'))
    deltas.onAgentState(agent, 'connected')
  }

  #takeDeltas(agent: Agent, deltas: HostDeltas, now: number): void {
    checkDeltas(deltas)
    agent.skew.observe(deltas.nowUnixMs, now)
    if (!agent.takesDeltas(deltas.seq)) return
    this.#host.deltas.onHostDeltas(agent.id, deltas, now)
    this.#unconfirmedBytes += deltas.entries.length
    if (this.#unconfirmedBytes >= CONFIRM_BYTES) this.#confirmDeltas(agent)
  }

  #takeBatch(agent: Agent, batch: FlowBatch): void {
    checkBatch(batch)
    if (!this.#gate.admits(batch.records.length)) return
    const { batches, drops, log, logLimit } = this.#host
    const gap = agent.gapBefore(batch.bootId, batch.seq, batches.lastSeq(agent.id, batch.bootId))
    if (gap.lost > 0) {
      drops.add('ingest', 'gap', gap.lost)
      const line = { agent: agent.id, boot: batch.bootId, before: batch.seq, batches: gap.lost }
      logLimit.line((leftOut) =>
        log.warn({ ...line, ...leftOut }, 'batches are missing: the agent had to give them up'),
      )
    }
    if (gap.elsewhere > 0) {
      const line = { agent: agent.id, boot: batch.bootId, before: batch.seq, batches: gap.elsewhere }
      logLimit.line((leftOut) =>
        log.info({ ...line, ...leftOut }, 'batches are elsewhere: another aggregator acknowledged them'),
      )
    }
    const { bootId, seq, ledgers } = batch
    batches.append(agent, batch).then(
      (result) => {
        if (result !== 'duplicate' && ledgers.length > 0) this.#host.addLedgers(ledgers)
        this.#acks.set(bootId, Math.max(seq, this.#acks.get(bootId) ?? 0))
        this.#scheduleAcks()
      },
      (error: unknown) => this.close(new Refusal(status.UNAVAILABLE, describeError(error))),
    )
  }

  /** Its records' times are corrected from here on, or no more: that must be said. */
  #judgeClock(agent: Agent): void {
    const { id, clockSkewMs, clockWrong } = agent
    agent.clockWrong = isClockWrong(clockSkewMs)
    if (agent.clockWrong === clockWrong) return
    const { log, logLimit } = this.#host
    const line = { agent: id, skewMs: Math.round(clockSkewMs) }
    logLimit.line((leftOut) => {
      if (agent.clockWrong) {
        log.warn(
          { ...line, ...leftOut },
          "FD_CLOCK_SKEW: the agent's clock is wrong; its records' times are corrected",
        )
      } else log.info({ ...line, ...leftOut }, "the agent's clock is right again")
    })
  }

  #confirmDeltas(agent: Agent): void {
    this.#unconfirmedBytes = 0
    const ack = { bootId: 0, seq: 0, deltasSeq: agent.deltasSeq }
    // While the agent does not read, the next confirmation says the same and more.
    if (ack.deltasSeq > 0 && this.#writable) this.#send({ message: { $case: 'ack', value: ack } })
  }

  #scheduleAcks(): void {
    if (this.#ackScheduled) return
    this.#ackScheduled = true
    setImmediate(() => {
      this.#ackScheduled = false
      this.#sendAcks()
    })
  }

  /** Acknowledgements wait, merged, while the agent does not read. */
  #sendAcks(): void {
    if (!this.#writable || this.#ended) return
    for (const [bootId, seq] of this.#acks) {
      this.#send({ message: { $case: 'ack', value: { bootId, seq, deltasSeq: 0 } } })
    }
    this.#acks.clear()
  }

  #send(response: StreamResponse): void {
    if (!this.#ended) this.#writable = this.#call.write(response)
  }

  #finish(): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#helloTimer)
    const agent = this.#agent
    if (agent && this.#host.release(agent, this)) {
      agent.connected = false
      this.#host.logLimit.line((leftOut) =>
        this.#host.log.info({ agent: agent.id, ...leftOut }, 'agent disconnected'),
      )
      this.#host.deltas.onAgentState(agent, 'disconnected')
    }
  }
}
