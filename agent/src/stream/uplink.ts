// SPDX-License-Identifier: Apache-2.0
import type { Hello, RefusedMessage, StreamResponse, Welcome } from '@flowdam/proto'
import { BatchSender } from './batch-sender.js'
import { Connection, type ConnectionTarget } from './connection.js'
import { DeltaSender } from './delta-sender.js'
import type { Doubles } from './doubles.js'
import { explainFailure, type Failure } from './failure.js'
import { FailureLog } from './failure-log.js'
import { Numbering } from './numbering.js'
import { Refusals } from './refusals.js'
import { ReturnWatch } from './return-watch.js'
import { Targets } from './targets.js'
import type { UplinkOptions } from './uplink-options.js'
import { newUplinkStats, type UplinkStats } from './uplink-stats.js'
import { understands, versionTrouble } from './version.js'

const HEARTBEAT_MS = 1000
/** For the last messages to arrive. */
const GOODBYE_MS = 1000
/** What was sent to the other may be acknowledged so long before the stream moves. */
const RETURN_WAIT_MS = 3000
/**
 * Keeps one stream to an aggregator: the first in the list that answers; back to the first when it answers again. Says
 * Hello, then host deltas at once and batches as the window and the rate allow. What could not be sent waits: deltas
 * add up in the reader, batches in the queue.
 */
export class Uplink {
  readonly stats: UplinkStats = newUplinkStats()
  readonly #options: UplinkOptions
  readonly #targets: Targets
  readonly #deltas: DeltaSender
  readonly #batches: BatchSender
  readonly #returns: ReturnWatch
  readonly #failures: FailureLog
  readonly #numbering: Numbering
  readonly #refusals: Refusals
  #connection: Connection | undefined
  /** Position in the list of the one that has the stream. */
  #at = 0
  #bootId = 0
  #welcomed = false
  #moving = false
  #stopped = false
  #retryTimer: NodeJS.Timeout | undefined
  #heartbeatTimer: NodeJS.Timeout | undefined
  #moveTimer: NodeJS.Timeout | undefined
  #idle: (() => void)[] = []

  constructor(options: UplinkOptions) {
    const { targets, queue, deltas, exportRate, log, returnEveryMs: everyMs } = options
    this.#options = options
    this.#targets = new Targets(targets.length)
    this.#deltas = new DeltaSender(deltas, this.stats, options)
    this.#batches = new BatchSender({ queue, exportRate, stats: this.stats })
    this.#returns = new ReturnWatch({
      targets,
      hello: () => this.#hello(),
      current: () => (this.#welcomed && !this.#moving ? this.#at : undefined),
      onFound: (at) => this.#prepareMove(at),
      everyMs,
    })
    this.#failures = new FailureLog(log)
    this.#numbering = new Numbering(options, this.stats)
    this.#refusals = new Refusals(queue, this.#deltas, log)
    queue.onLoaded = () => this.pump()
  }

  get connected(): boolean {
    return this.#welcomed
  }
  /** Why the last attempt failed; undefined before the first failure. */
  get lastFailure(): string | undefined {
    return this.#failures.last
  }
  /** HOST:PORT of the aggregator that has the stream. */
  get aggregator(): string | undefined {
    return this.#welcomed ? this.#target(this.#at).address : undefined
  }
  /** Batches that may be stored twice. */
  get doubles(): Doubles {
    return this.#batches.doubles
  }

  /** Whether export_rate alone keeps batches waiting, the next to send for longer than this. */
  isBehind(ageMs: number): boolean {
    return this.#welcomed && this.#batches.isBehind(ageMs)
  }

  start(): void {
    this.#connect()
    this.#heartbeatTimer = setInterval(() => this.#heartbeat(), HEARTBEAT_MS)
    this.#returns.start()
  }

  /** Sends what is queued, waits for its acknowledgement at most `waitMs` (a fifth without a stream), and ends. */
  async stop(waitMs: number): Promise<void> {
    this.#returns.stop()
    this.#stayHere()
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
    for (const timer of [this.#heartbeatTimer, this.#retryTimer, this.#moveTimer]) clearTimeout(timer)
    this.#batches.stop()
    this.#deltas.pause()
    const welcomed = this.#welcomed
    this.#welcomed = false
    await this.#connection?.stop(welcomed ? GOODBYE_MS : 0)
  }

  setExportRate(exportRate: number): void {
    this.#batches.setExportRate(exportRate)
  }

  /** New certificates: the stream is made anew with them, and nothing is lost by that. */
  reconnect(): void {
    if (this.#stopped || !this.#welcomed) return
    this.#leave()
    this.#connect()
  }

  /** After each read of the deltas. Without a stream, and while too many are unconfirmed, they go on adding up. */
  sendDeltas(): void {
    this.#deltas.send()
  }

  sendInterfaces(): void {
    if (!this.#welcomed) return
    this.#connection?.send({ $case: 'interfaces', value: this.#options.interfaces() })
  }

  /** Sends batches as far as window and rate allow. After each push into the queue. */
  pump(): void {
    this.#batches.pump()
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
        if (!understands(welcome)) {
          void connection.stop(0)
          const failure = explainFailure('FAILED_PRECONDITION', versionTrouble(welcome), target.overTls)
          return this.#failed(target, failure)
        }
        const nonsense = this.#numbering.troubleOf(this.#bootId, welcome.ackedSeq)
        if (nonsense) {
          void connection.stop(0)
          return this.#failed(target, explainFailure('INTERNAL', nonsense, target.overTls))
        }
        welcomed = true
        this.#welcome(at, welcome, connection)
      },
      message: (message) => this.#message(message),
      ended: ({ code, details, refused }) => {
        this.#connection = undefined
        if (!welcomed) return this.#failed(target, explainFailure(code, details, target.overTls))
        this.stats.disconnects++
        this.#lost()
        const replaced = details.startsWith('FD_REPLACED')
        const retryInMs = replaced ? this.#targets.replaced() : this.#targets.lost()
        const line = { aggregator: target.address, reason: `${code}: ${details}`, retryInMs }
        this.#options.log.warn(line, 'the stream to the aggregator ended')
        if (refused) void this.#setAside(refused, details, target.address, retryInMs)
        else this.#retry(retryInMs)
      },
    })
    this.#connection = connection
    connection.start({ $case: 'hello', value: this.#hello() })
  }

  async #setAside(refused: RefusedMessage, details: string, by: string, retryInMs: number): Promise<void> {
    const done = await this.#refusals.setAside(refused, details, by)
    this.#retry(done ? 0 : retryInMs)
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
    this.#failures.failed(target.address, failure, retryInMs)
    this.#retry(retryInMs)
  }

  #retry(waitMs: number): void {
    if (this.#stopped) return
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => this.#connect(), waitMs)
  }

  #lost(): void {
    this.#welcomed = false
    this.#batches.pause()
    this.#deltas.pause()
    clearTimeout(this.#moveTimer)
    this.#stayHere()
    this.#returns.drop()
  }

  #welcome(at: number, welcome: Welcome, connection: Connection): void {
    const { queue, log } = this.#options
    const { address } = this.#target(at)
    this.stats.connects++
    this.stats.clockOffsetMs = welcome.nowUnixMs - Date.now()
    this.#targets.succeeded(at)
    this.#at = at
    this.#failures.succeeded(address)
    if (welcome.config) this.#options.config(welcome.config)
    this.doubles.learn(at, this.#bootId, welcome.ackedSeq)
    this.#numbering.welcomed(address, this.#bootId, welcome.ackedSeq)
    this.#batches.begin(connection, at)
    this.#welcomed = true
    const { aggregatorVersion: version, ackedSeq: acked } = welcome
    log.info({ aggregator: address, version, acked, queued: queue.batches }, 'stream to the aggregator')
    // What was found out meanwhile first: detection must not wait behind a backlog of flows.
    this.sendInterfaces()
    this.#deltas.begin(connection, welcome)
    this.#heartbeat()
    this.#checkIdle()
    this.pump()
  }

  #message(message: NonNullable<StreamResponse['message']>): void {
    const { queue, config, rules } = this.#options
    switch (message.$case) {
      case 'ack':
        if (message.value.deltasSeq > 0) this.#deltas.confirm(message.value.deltasSeq)
        if (message.value.seq === 0) return
        this.#numbering.acknowledged(this.aggregator, message.value.bootId, message.value.seq)
        this.#checkIdle()
        if (this.#moving && queue.inFlight === 0) this.#move()
        else this.pump()
        break
      case 'window':
        this.#batches.setWindow(message.value.bytes)
        break
      case 'config':
        config(message.value)
        break
      case 'rules':
        rules(message.value)
        break
      default:
    }
  }

  #checkIdle(): void {
    if (this.#options.queue.batches > 0) return
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #heartbeat(): void {
    if (this.#welcomed) this.#connection?.send({ $case: 'heartbeat', value: this.#options.heartbeat() })
  }

  /** Lets what is under way be acknowledged, so that nothing has to be sent to both. */
  #prepareMove(at: number): void {
    this.#moving = true
    this.#batches.held = true
    this.#targets.succeeded(at)
    if (this.#options.queue.inFlight === 0) this.#move()
    else this.#moveTimer = setTimeout(() => this.#move(), RETURN_WAIT_MS)
  }

  #stayHere(): void {
    this.#moving = false
    this.#batches.held = false
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
}
