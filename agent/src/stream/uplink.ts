// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import {
  type Config,
  type Heartbeat,
  type Hello,
  type InterfaceTable,
  PROTOCOL_VERSION,
  RECORD_SIZE,
  type Rules,
  type Welcome,
} from '@flowdam/proto'
import { TokenBucket } from '../count/token-bucket.js'
import type { Deltas } from '../detect/deltas.js'
import { Backoff } from './backoff.js'
import type { BatchQueue } from './batch-queue.js'
import { Connection, type ConnectionTarget } from './connection.js'

/** Batch bytes handed to gRPC but not flushed: what a host delta may have to wait behind. */
const WINDOW_BYTES = 2 << 20
const HEARTBEAT_MS = 1000
/** For the last messages to arrive. */
const GOODBYE_MS = 1000

export interface UplinkOptions {
  target: ConnectionTarget
  queue: BatchQueue
  deltas: Deltas
  hello: () => Hello
  interfaces: () => InterfaceTable
  heartbeat: () => Heartbeat
  config: (config: Config) => void
  rules: (rules: Rules) => void
  log: Logger
  /** Records a second on the wire, a backlog after an outage included. */
  exportRate: number
}

export interface UplinkStats {
  connects: number
  disconnects: number
  sentBatches: number
  sentRecords: number
  sentDeltas: number
  /** Milliseconds; the aggregator's clock minus ours at Welcome. */
  clockOffsetMs: number
}

/**
 * Keeps one stream to the aggregator: connects, says Hello, then host deltas at once and batches as the window and
 * the rate allow. What could not be sent waits: deltas add up in the reader, batches in the queue.
 */
export class Uplink {
  readonly stats: UplinkStats = {
    connects: 0,
    disconnects: 0,
    sentBatches: 0,
    sentRecords: 0,
    sentDeltas: 0,
    clockOffsetMs: 0,
  }
  readonly #options: UplinkOptions
  readonly #backoff = new Backoff()
  readonly #pace: TokenBucket
  #connection: Connection | undefined
  #welcomed = false
  #stopped = false
  #unflushed = 0
  #retryTimer: NodeJS.Timeout | undefined
  #paceTimer: NodeJS.Timeout | undefined
  #heartbeatTimer: NodeJS.Timeout | undefined
  #idle: (() => void)[] = []
  #lastFailure = ''

  constructor(options: UplinkOptions) {
    this.#options = options
    this.#pace = new TokenBucket(options.exportRate, options.exportRate)
  }

  get connected(): boolean {
    return this.#welcomed
  }

  start(): void {
    this.#connect()
    this.#heartbeatTimer = setInterval(() => this.#heartbeat(), HEARTBEAT_MS)
  }

  /** Sends what is queued, waits for its acknowledgement at most `waitMs` (a fifth without a stream), and ends. */
  async stop(waitMs: number): Promise<void> {
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
    clearInterval(this.#heartbeatTimer)
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#paceTimer)
    const welcomed = this.#welcomed
    this.#welcomed = false
    await this.#connection?.stop(welcomed ? GOODBYE_MS : 0)
  }

  setExportRate(exportRate: number): void {
    this.#pace.setRate(exportRate, exportRate)
  }

  /** After each read of the deltas. Without a stream they go on adding up. */
  sendDeltas(): void {
    if (!this.#welcomed) return
    for (const message of this.#options.deltas.take()) {
      this.#connection?.send({ $case: 'hostDeltas', value: message })
      this.stats.sentDeltas++
    }
  }

  sendInterfaces(): void {
    if (!this.#welcomed) return
    this.#connection?.send({ $case: 'interfaces', value: this.#options.interfaces() })
  }

  /** Sends batches as far as window and rate allow. After each push into the queue. */
  pump(): void {
    const { queue } = this.#options
    while (this.#welcomed && this.#unflushed < WINDOW_BYTES) {
      const batch = queue.peek()
      if (!batch) return
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
      queue.sent()
      this.#unflushed += batch.records.length
      this.stats.sentBatches++
      this.stats.sentRecords += records
      this.#connection?.send({ $case: 'flowBatch', value: batch }, () => {
        this.#unflushed -= batch.records.length
        this.pump()
      })
    }
  }

  #connect(): void {
    const { target, log } = this.#options
    const connection = new Connection(target, {
      welcome: (welcome) => this.#welcome(welcome),
      message: (message) => {
        if (message.$case === 'ack') {
          if (message.value.bootId === this.#bootId) this.#acknowledge(message.value.seq)
        } else if (message.$case === 'config') this.#options.config(message.value)
        else if (message.$case === 'rules') this.#options.rules(message.value)
      },
      ended: ({ code, details }) => {
        if (this.#welcomed) this.stats.disconnects++
        this.#welcomed = false
        this.#connection = undefined
        if (this.#stopped) return
        const waitMs = this.#backoff.next()
        const failure = `${code}: ${details}`
        const line = { aggregator: target.address, reason: failure, retryInMs: Math.round(waitMs) }
        // An aggregator that is away for hours is one warning, not thousands.
        if (failure === this.#lastFailure) log.debug(line, 'no stream to the aggregator')
        else log.warn(line, 'no stream to the aggregator')
        this.#lastFailure = failure
        this.#retryTimer = setTimeout(() => this.#connect(), waitMs)
      },
    })
    this.#connection = connection
    const hello = this.#options.hello()
    this.#bootId = hello.bootId
    connection.start({ $case: 'hello', value: hello })
  }

  #bootId = 0

  #welcome(welcome: Welcome): void {
    const { queue, log, target } = this.#options
    if (welcome.protocolVersion !== PROTOCOL_VERSION) {
      log.warn(
        { theirs: welcome.protocolVersion, ours: PROTOCOL_VERSION, version: welcome.aggregatorVersion },
        'the aggregator speaks another version of the stream',
      )
    }
    this.stats.connects++
    this.stats.clockOffsetMs = welcome.nowUnixMs - Date.now()
    this.#backoff.reset()
    this.#lastFailure = ''
    this.#unflushed = 0
    if (welcome.config) this.#options.config(welcome.config)
    queue.acknowledge(welcome.ackedSeq)
    queue.rewind()
    this.#welcomed = true
    log.info(
      {
        aggregator: target.address,
        version: welcome.aggregatorVersion,
        acked: welcome.ackedSeq,
        queued: queue.batches,
      },
      'stream to the aggregator',
    )
    // What was found out meanwhile first: detection must not wait behind a backlog of flows.
    this.sendInterfaces()
    this.sendDeltas()
    this.#heartbeat()
    this.pump()
  }

  #acknowledge(seq: number): void {
    const { queue } = this.#options
    queue.acknowledge(seq)
    if (queue.batches > 0) return
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #heartbeat(): void {
    if (this.#welcomed) this.#connection?.send({ $case: 'heartbeat', value: this.#options.heartbeat() })
  }
}
