// SPDX-License-Identifier: Apache-2.0
import { type Logger, VERSION } from '@flowdam/common'
import {
  type Config,
  type Heartbeat,
  type Hello,
  type HostDeltas,
  type InterfaceTable,
  PROTOCOL_VERSION,
  RECORD_SIZE,
  type Rules,
  type StreamResponse,
  streamVersionMismatch,
  type Welcome,
} from '@flowdam/proto'
import { TokenBucket } from '../count/token-bucket.js'
import type { BatchQueue } from './batch-queue.js'
import { Connection, type ConnectionTarget } from './connection.js'
import { DeltaOutbox } from './delta-outbox.js'
import { Doubles } from './doubles.js'
import { explainFailure, type Failure } from './failure.js'
import { Targets } from './targets.js'

/** Batch bytes handed to gRPC but not flushed: what a host delta may have to wait behind. */
const WINDOW_BYTES = 2 << 20
const HEARTBEAT_MS = 1000
/** For the last messages to arrive. */
const GOODBYE_MS = 1000
/** How often the first aggregator is tried while another has the stream. */
const RETURN_EVERY_MS = 5000
/** What was sent to the other may be acknowledged so long before the stream moves. */
const RETURN_WAIT_MS = 3000

/** Where host deltas come from; detect/deltas.ts. */
export interface DeltaSource {
  take(): HostDeltas[]
}

export interface UplinkOptions {
  /** In order of preference. */
  targets: readonly ConnectionTarget[]
  queue: BatchQueue
  deltas: DeltaSource
  hello: () => Hello
  interfaces: () => InterfaceTable
  heartbeat: () => Heartbeat
  config: (config: Config) => void
  rules: (rules: Rules) => void
  log: Logger
  /** Records a second on the wire, a backlog after an outage included. */
  exportRate: number
  /** For tests. */
  returnEveryMs?: number
}

export interface UplinkStats {
  connects: number
  disconnects: number
  /** Attempts that got no Welcome, by why. */
  failures: Record<Failure['kind'], number>
  sentBatches: number
  sentRecords: number
  sentDeltas: number
  /** Milliseconds; the aggregator's clock minus ours at Welcome. */
  clockOffsetMs: number
}

/**
 * Keeps one stream to an aggregator: the first in the list that answers; back to the first when it answers again. Says
 * Hello, then host deltas at once and batches as the window and the rate allow. What could not be sent waits: deltas
 * add up in the reader, batches in the queue.
 */
export class Uplink {
  readonly stats: UplinkStats = {
    connects: 0,
    disconnects: 0,
    failures: { unreachable: 0, tls: 0, version: 0, refused: 0 },
    sentBatches: 0,
    sentRecords: 0,
    sentDeltas: 0,
    clockOffsetMs: 0,
  }
  /** Batches that may be stored twice. */
  readonly doubles = new Doubles()
  readonly #options: UplinkOptions
  readonly #targets: Targets
  readonly #outbox = new DeltaOutbox()
  readonly #pace: TokenBucket
  #exportRate: number
  #connection: Connection | undefined
  /** A look whether a more preferred aggregator answers. */
  #scout: Connection | undefined
  /** Position in the list of the one that has the stream. */
  #at = 0
  #bootId = 0
  #welcomed = false
  #moving = false
  #stopped = false
  #unflushed = 0
  /** What the aggregator lets us have unacknowledged, bytes. */
  #window = Number.POSITIVE_INFINITY
  #retryTimer: NodeJS.Timeout | undefined
  #paceTimer: NodeJS.Timeout | undefined
  #heartbeatTimer: NodeJS.Timeout | undefined
  #returnTimer: NodeJS.Timeout | undefined
  #moveTimer: NodeJS.Timeout | undefined
  #idle: (() => void)[] = []
  readonly #lastFailure = new Map<string, string>()

  constructor(options: UplinkOptions) {
    this.#options = options
    this.#targets = new Targets(options.targets.length)
    this.#exportRate = options.exportRate
    this.#pace = new TokenBucket(options.exportRate, options.exportRate)
    options.queue.onLoaded = () => this.pump()
  }

  get connected(): boolean {
    return this.#welcomed
  }
  /** Why the last attempt failed; undefined before the first failure. */
  get lastFailure(): string | undefined {
    return [...this.#lastFailure.values()].at(-1)
  }
  /** HOST:PORT of the aggregator that has the stream. */
  get aggregator(): string | undefined {
    return this.#welcomed ? this.#target(this.#at).address : undefined
  }

  /** Whether export_rate alone keeps batches waiting, the next to send for longer than this. */
  isBehind(ageMs: number): boolean {
    const saved = this.#pace.tokens / this.#exportRate
    return this.#welcomed && saved < 0.5 && this.#options.queue.unsentAgeMs > ageMs
  }

  start(): void {
    this.#connect()
    this.#heartbeatTimer = setInterval(() => this.#heartbeat(), HEARTBEAT_MS)
    this.#returnTimer = setInterval(
      () => this.#lookForBetter(),
      this.#options.returnEveryMs ?? RETURN_EVERY_MS,
    )
  }

  /** Sends what is queued, waits for its acknowledgement at most `waitMs` (a fifth without a stream), and ends. */
  async stop(waitMs: number): Promise<void> {
    clearInterval(this.#returnTimer)
    this.#dropScout()
    this.#moving = false
    this.sendDeltas()
    this.pump()
    if (this.#options.queue.batches > 0 && waitMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.#welcomed ? waitMs : waitMs / 5)
        this.#idle.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
    if (this.#welcomed) this.#heartbeat()
    this.#stopped = true
    for (const timer of [this.#heartbeatTimer, this.#retryTimer, this.#paceTimer, this.#moveTimer]) {
      clearTimeout(timer)
    }
    const welcomed = this.#welcomed
    this.#welcomed = false
    await this.#connection?.stop(welcomed ? GOODBYE_MS : 0)
  }

  setExportRate(exportRate: number): void {
    this.#exportRate = exportRate
    this.#pace.setRate(exportRate, exportRate)
  }

  /** New certificates: the stream is made anew with them, and nothing is lost by that. */
  reconnect(): void {
    if (this.#stopped || !this.#welcomed) return
    this.#leave()
    this.#connect()
  }

  /** After each read of the deltas. Without a stream, and while too many are unconfirmed, they go on adding up. */
  sendDeltas(): void {
    if (!this.#welcomed || this.#outbox.full) return
    for (const message of this.#options.deltas.take()) {
      this.#outbox.sent(message)
      this.#sendDelta(message)
    }
  }

  sendInterfaces(): void {
    if (!this.#welcomed) return
    this.#connection?.send({ $case: 'interfaces', value: this.#options.interfaces() })
  }

  /** Sends batches as far as window and rate allow. After each push into the queue. */
  pump(): void {
    const { queue } = this.#options
    while (this.#welcomed && !this.#moving && this.#unflushed < WINDOW_BYTES) {
      const batch = queue.peek()
      if (!batch) return
      if (queue.inFlight > 0 && queue.inFlightBytes + batch.records.length > this.#window) return
      const records = batch.records.length / RECORD_SIZE
      const waitMs = this.#pace.waitMs(Math.min(records, 1))
      if (waitMs > 0) {
        this.#paceTimer ??= setTimeout(() => {
          this.#paceTimer = undefined
          this.pump()
        }, waitMs)
        return
      }
      this.#pace.charge(records)
      const before = queue.sent(this.#at)
      if (before !== undefined && before !== this.#at) {
        this.doubles.resent({ bootId: batch.bootId, seq: batch.seq, records }, before)
      }
      const connection = this.#connection
      this.#unflushed += batch.records.length
      this.stats.sentBatches++
      this.stats.sentRecords += records
      connection?.send({ $case: 'flowBatch', value: batch }, () => {
        this.#unflushed -= batch.records.length
        this.pump()
      })
    }
  }

  #target(at: number): ConnectionTarget {
    return this.#options.targets[at] as ConnectionTarget
  }

  #connect(): void {
    const at = this.#targets.current
    const target = this.#target(at)
    let welcomed = false
    const connection = new Connection(target, {
      welcome: (welcome) => {
        if (this.#refuses(welcome)) {
          void connection.stop(0)
          this.#failed(target, explainFailure('FAILED_PRECONDITION', versionText(welcome), target.overTls))
          return
        }
        welcomed = true
        this.#welcome(at, welcome)
      },
      message: (message) => this.#message(message),
      ended: ({ code, details }) => {
        this.#connection = undefined
        if (!welcomed) return this.#failed(target, explainFailure(code, details, target.overTls))
        this.stats.disconnects++
        this.#lost()
        const retryInMs = this.#targets.lost()
        const reason = `${code}: ${details}`
        this.#options.log.warn(
          { aggregator: target.address, reason, retryInMs },
          'the stream to the aggregator ended',
        )
        this.#retry(retryInMs)
      },
    })
    this.#connection = connection
    connection.start({ $case: 'hello', value: this.#hello() })
  }

  #hello(): Hello {
    const hello = this.#options.hello()
    this.#bootId = hello.bootId
    return hello
  }

  #failed(target: ConnectionTarget, failure: Failure): void {
    if (this.#stopped) return
    this.stats.failures[failure.kind]++
    const retryInMs = Math.round(this.#targets.failed(failure.hopeless))
    const line = { aggregator: target.address, reason: failure.text, retryInMs }
    // An aggregator that is away for hours is one warning, not thousands.
    if (this.#lastFailure.get(target.address) === failure.text) {
      this.#options.log.debug(line, 'no stream to the aggregator')
    } else this.#options.log.warn(line, 'no stream to the aggregator')
    this.#lastFailure.set(target.address, failure.text)
    this.#retry(retryInMs)
  }

  #retry(waitMs: number): void {
    if (this.#stopped) return
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => this.#connect(), waitMs)
  }

  #lost(): void {
    this.#welcomed = false
    this.#moving = false
    clearTimeout(this.#moveTimer)
    this.#dropScout()
  }

  #refuses(welcome: Welcome): boolean {
    return welcome.protocolVersion !== PROTOCOL_VERSION
  }

  #welcome(at: number, welcome: Welcome): void {
    const { queue, log } = this.#options
    this.stats.connects++
    this.stats.clockOffsetMs = welcome.nowUnixMs - Date.now()
    this.#targets.succeeded(at)
    this.#at = at
    this.#lastFailure.delete(this.#target(at).address)
    this.#unflushed = 0
    this.#window = Number.POSITIVE_INFINITY
    if (welcome.config) this.#options.config(welcome.config)
    this.doubles.learn(at, this.#bootId, welcome.ackedSeq)
    queue.acknowledge(this.#bootId, welcome.ackedSeq)
    queue.rewind()
    this.#welcomed = true
    log.info(
      {
        aggregator: this.#target(at).address,
        version: welcome.aggregatorVersion,
        acked: welcome.ackedSeq,
        queued: queue.batches,
      },
      'stream to the aggregator',
    )
    // What was found out meanwhile first: detection must not wait behind a backlog of flows.
    this.sendInterfaces()
    for (const message of this.#outbox.resume(welcome.confirmsDeltas, welcome.deltasSeq))
      this.#sendDelta(message)
    this.sendDeltas()
    this.#heartbeat()
    this.#checkIdle()
    this.pump()
  }

  #message(message: NonNullable<StreamResponse['message']>): void {
    switch (message.$case) {
      case 'ack':
        if (message.value.deltasSeq > 0) this.#outbox.confirm(message.value.deltasSeq)
        if (message.value.seq === 0) return
        this.#options.queue.acknowledge(message.value.bootId, message.value.seq)
        this.#checkIdle()
        if (this.#moving && this.#options.queue.inFlight === 0) this.#move()
        else this.pump()
        break
      case 'window':
        this.#window = message.value.bytes
        this.pump()
        break
      case 'config':
        this.#options.config(message.value)
        break
      case 'rules':
        this.#options.rules(message.value)
        break
      default:
    }
  }

  #checkIdle(): void {
    if (this.#options.queue.batches > 0) return
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #sendDelta(message: HostDeltas): void {
    this.#connection?.send({ $case: 'hostDeltas', value: message })
    this.stats.sentDeltas++
  }

  #heartbeat(): void {
    if (this.#welcomed) this.#connection?.send({ $case: 'heartbeat', value: this.#options.heartbeat() })
  }

  /** Asks the aggregators before the one in use whether one is back; a Welcome is the only proof. */
  #lookForBetter(at = 0): void {
    if (!this.#welcomed || this.#moving || this.#scout || at >= this.#at) return
    const scout = new Connection(this.#target(at), {
      welcome: (welcome) => {
        this.#dropScout()
        if (this.#refuses(welcome)) return this.#lookForBetter(at + 1)
        this.#prepareMove(at)
      },
      message: () => {},
      ended: () => {
        this.#scout = undefined
        this.#lookForBetter(at + 1)
      },
    })
    this.#scout = scout
    scout.start({ $case: 'hello', value: this.#hello() })
  }

  /** Lets what is under way be acknowledged, so that nothing has to be sent to both. */
  #prepareMove(at: number): void {
    this.#moving = true
    this.#targets.succeeded(at)
    if (this.#options.queue.inFlight === 0) this.#move()
    else this.#moveTimer = setTimeout(() => this.#move(), RETURN_WAIT_MS)
  }

  #move(): void {
    if (this.#stopped) return
    const { log } = this.#options
    log.info(
      { from: this.#target(this.#at).address, to: this.#target(this.#targets.current).address },
      'back to it',
    )
    this.#leave()
    this.#connect()
  }

  #leave(): void {
    const connection = this.#connection
    this.#connection = undefined
    this.#lost()
    // It may still read what we wrote last.
    void connection?.stop(GOODBYE_MS)
  }

  #dropScout(): void {
    void this.#scout?.stop(0)
    this.#scout = undefined
  }
}

function versionText({ aggregatorVersion, protocolVersion }: Welcome): string {
  const aggregator = { software: aggregatorVersion, protocol: protocolVersion }
  return `FD_PROTOCOL_VERSION: ${streamVersionMismatch({ software: VERSION, protocol: PROTOCOL_VERSION }, aggregator)}`
}
