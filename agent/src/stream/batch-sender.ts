// SPDX-License-Identifier: Apache-2.0
import { RECORD_SIZE } from '@flowdam/proto'
import { TokenBucket } from '../count/token-bucket.js'
import type { BatchQueue } from './batch-queue.js'
import type { Connection } from './connection.js'
import { Doubles } from './doubles.js'
import type { UplinkStats } from './uplink-stats.js'

/** Batch bytes handed to gRPC but not flushed: what a host delta may have to wait behind. */
const WINDOW_BYTES = 2 << 20

export interface BatchSenderOptions {
  queue: BatchQueue
  stats: UplinkStats
  /** Records a second on the wire. */
  exportRate: number
}

/** Sends what is queued as far as the aggregator's window, export_rate and the connection's buffers allow. */
export class BatchSender {
  /** Batches that may be stored twice. */
  readonly doubles = new Doubles()
  /** Set while the stream is about to move: what is under way shall be acknowledged, and nothing added. */
  held = false
  readonly #options: BatchSenderOptions
  readonly #pace: TokenBucket
  #exportRate: number
  #connection: Connection | undefined
  /** Position in the configuration of the aggregator that has the stream. */
  #at = 0
  #unflushed = 0
  /** What the aggregator lets us have unacknowledged, bytes. */
  #window = Number.POSITIVE_INFINITY
  #paceTimer: NodeJS.Timeout | undefined

  constructor(options: BatchSenderOptions) {
    this.#options = options
    this.#exportRate = options.exportRate
    this.#pace = new TokenBucket(options.exportRate, options.exportRate)
  }

  /** Over this connection from now on; what was not acknowledged is sent again. */
  begin(connection: Connection, at: number): void {
    this.#at = at
    this.#unflushed = 0
    this.#window = Number.POSITIVE_INFINITY
    this.#options.queue.rewind()
    this.#connection = connection
    this.held = false
  }

  /** Nothing more on this connection. */
  pause(): void {
    this.#connection = undefined
  }

  stop(): void {
    this.pause()
    clearTimeout(this.#paceTimer)
  }

  setExportRate(exportRate: number): void {
    this.#exportRate = exportRate
    this.#pace.setRate(exportRate, exportRate)
  }

  setWindow(bytes: number): void {
    this.#window = bytes
    this.pump()
  }

  /** Whether export_rate alone keeps batches waiting, the next to send for longer than this. */
  isBehind(ageMs: number): boolean {
    const saved = this.#pace.tokens / this.#exportRate
    return saved < 0.5 && this.#options.queue.unsentAgeMs > ageMs
  }

  pump(): void {
    const { queue, stats } = this.#options
    while (this.#connection && !this.held && this.#unflushed < WINDOW_BYTES) {
      const batch = queue.peek()
      if (!batch) return
      if (queue.inFlight > 0 && queue.inFlightBytes + batch.records.length > this.#window) return
      const records = batch.records.length / RECORD_SIZE
      const waitMs = this.#pace.waitMs(Math.min(records, 1))
      if (waitMs > 0) {
        this.#pumpIn(waitMs)
        return
      }
      this.#pace.charge(records)
      const before = queue.sent(this.#at)
      if (before !== undefined && before !== this.#at) {
        this.doubles.resent({ bootId: batch.bootId, seq: batch.seq, records }, before)
      }
      this.#unflushed += batch.records.length
      stats.sentBatches++
      stats.sentRecords += records
      this.#connection.send({ $case: 'flowBatch', value: batch }, () => {
        this.#unflushed -= batch.records.length
        this.pump()
      })
    }
  }

  #pumpIn(waitMs: number): void {
    this.#paceTimer ??= setTimeout(() => {
      this.#paceTimer = undefined
      this.pump()
    }, waitMs)
  }
}
