// SPDX-License-Identifier: Apache-2.0
import { type FlowBatch, RECORD_SIZE } from '@flowdam/proto'
import type { EpochBatch } from '../count/epochs.js'

/** A batch without records still carries its epoch's ledgers; of these so many are kept. */
const MOST_BATCHES = 65_536

export interface QueueLimits {
  maxBytes: number
}

/**
 * Batches that the aggregator has not acknowledged, oldest first. Bounded: when it is full the oldest flow detail
 * goes, counted; the batch stays, empty, so that its ledgers arrive and no sequence number is missing.
 */
export class BatchQueue {
  /** Records lost here since start, by reason. */
  readonly dropped = { queue_full: 0 }
  /** Batches that went with their ledgers. */
  droppedBatches = 0
  readonly #bootId: number
  #maxBytes: number
  #batches: FlowBatch[] = []
  /** Position of the next batch to send. */
  #next = 0
  #seq = 0
  #bytes = 0
  #records = 0
  /** Batches before this position are empty already. */
  #emptied = 0

  constructor(bootId: number, limits: QueueLimits) {
    this.#bootId = bootId
    this.#maxBytes = limits.maxBytes
  }

  /** Batches and records not acknowledged. */
  get batches(): number {
    return this.#batches.length
  }
  get records(): number {
    return this.#records
  }
  get bytes(): number {
    return this.#bytes
  }
  /** Batches never sent on this connection. */
  get unsent(): number {
    return this.#batches.length - this.#next
  }
  /** seq of the oldest batch held, 0 for none. */
  get oldestSeq(): number {
    return this.#batches[0]?.seq ?? 0
  }

  push(batch: EpochBatch): void {
    this.#batches.push({
      bootId: this.#bootId,
      seq: ++this.#seq,
      epochStartUnixMs: batch.epochStartUnixMs,
      epochMs: batch.epochMs,
      records: batch.records,
      ledgers: batch.ledgers,
    })
    this.#bytes += batch.records.length
    this.#records += batch.records.length / RECORD_SIZE
    this.#makeRoom()
  }

  /** The next batch to send, undefined when all were sent. */
  peek(): FlowBatch | undefined {
    return this.#batches[this.#next]
  }

  /** Marks what peek returned as sent. */
  sent(): void {
    this.#next++
  }

  /** Everything up to `seq` is durable elsewhere. */
  acknowledge(seq: number): void {
    let count = 0
    while (count < this.#batches.length && (this.#batches[count] as FlowBatch).seq <= seq) {
      this.#forget(this.#batches[count] as FlowBatch)
      count++
    }
    this.#shift(count)
  }

  /** A new connection: what is not acknowledged is sent again. */
  rewind(): void {
    this.#next = 0
  }

  setLimits(limits: QueueLimits): void {
    this.#maxBytes = limits.maxBytes
    this.#makeRoom()
  }

  #makeRoom(): void {
    while (this.#bytes > this.#maxBytes && this.#emptied < this.#batches.length) {
      const oldest = this.#batches[this.#emptied] as FlowBatch
      this.#emptied++
      if (oldest.records.length === 0) continue
      this.dropped.queue_full += oldest.records.length / RECORD_SIZE
      this.#forget(oldest)
      this.#batches[this.#emptied - 1] = { ...oldest, records: Buffer.alloc(0) }
    }
    if (this.#batches.length > MOST_BATCHES) {
      const oldest = this.#batches[0] as FlowBatch
      this.dropped.queue_full += oldest.records.length / RECORD_SIZE
      this.#forget(oldest)
      this.#shift(1)
      this.droppedBatches++
    }
  }

  #forget(batch: FlowBatch): void {
    this.#bytes -= batch.records.length
    this.#records -= batch.records.length / RECORD_SIZE
  }

  #shift(count: number): void {
    this.#batches.splice(0, count)
    this.#next = Math.max(0, this.#next - count)
    this.#emptied = Math.max(0, this.#emptied - count)
  }
}
