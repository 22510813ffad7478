// SPDX-License-Identifier: Apache-2.0
import { type FlowBatch, RECORD_SIZE } from '@flowdam/proto'
import { isMortal, type QueuedBatch } from './queued-batch.js'

/** The batches that wait, oldest first; how far they are sent, and what they add up to. */
export class WaitingList {
  #entries: QueuedBatch[] = []
  /** Position of the next batch to send. */
  #next = 0
  #bytes = 0
  #records = 0
  #inFlightBytes = 0

  get entries(): readonly QueuedBatch[] {
    return this.#entries
  }
  /** Flow records, wherever they are. */
  get records(): number {
    return this.#records
  }
  /** Flow records in memory, bytes. */
  get bytes(): number {
    return this.#bytes
  }
  /** The next batch to send; undefined when all were sent. */
  get next(): QueuedBatch | undefined {
    return this.#entries[this.#next]
  }
  /** Batches never sent on this connection. */
  get unsent(): number {
    return this.#entries.length - this.#next
  }
  /** Batches sent on this connection, and their records' bytes. */
  get inFlight(): number {
    return this.#next
  }
  get inFlightBytes(): number {
    return this.#inFlightBytes
  }

  /** seq of the newest of a boot that was sent on this connection, 0 for none. */
  newestSent(bootId: number): number {
    for (let at = this.#next - 1; at >= 0; at--) {
      const entry = this.#entries[at]
      if (entry?.bootId === bootId) return entry.seq
    }
    return 0
  }

  /** The first of a boot; with `mortal`, the first that would die with this process. */
  firstOf(bootId: number, mortal = false): QueuedBatch | undefined {
    return this.#entries.find((entry) => entry.bootId === bootId && (!mortal || isMortal(entry)))
  }

  find(bootId: number, seq: number): QueuedBatch | undefined {
    return this.#entries.find((entry) => entry.bootId === bootId && entry.seq === seq)
  }

  has(bootId: number, seq: number): boolean {
    const last = this.#entries.at(-1)
    if (!last || last.bootId < bootId || (last.bootId === bootId && last.seq < seq)) return false
    return this.find(bootId, seq) !== undefined
  }

  push(entry: QueuedBatch): void {
    this.#entries.push(entry)
    this.#bytes += entry.batch?.records.length ?? 0
    this.#records += entry.records
  }

  /** Older ones, before all that is there; nothing counts as sent then. */
  prepend(entries: readonly QueuedBatch[]): void {
    this.#entries.unshift(...entries)
    this.rewind()
    for (const { records } of entries) this.#records += records
  }

  /** Marks the next as sent to an aggregator, and says which one had it before. */
  sent(to: number): number | undefined {
    const entry = this.#entries[this.#next++]
    if (!entry) return undefined
    entry.sentBytes = entry.records * RECORD_SIZE
    this.#inFlightBytes += entry.sentBytes
    entry.loaded = undefined
    const before = entry.sentTo
    entry.sentTo = to
    return before
  }

  /** A new connection: what is not acknowledged is sent again. */
  rewind(): void {
    this.#next = 0
    this.#inFlightBytes = 0
    for (const entry of this.#entries) {
      entry.loaded = undefined
      entry.sentBytes = 0
    }
  }

  /** Takes those of a boot up to `seq` off the list. */
  take(bootId: number, seq: number): QueuedBatch[] {
    const first = this.#entries.findIndex((entry) => entry.bootId === bootId)
    if (first < 0) return []
    const behind = this.#entries.findIndex(
      (entry, at) => at >= first && (entry.bootId !== bootId || entry.seq > seq),
    )
    return this.#cut(first, (behind < 0 ? this.#entries.length : behind) - first)
  }

  takeOldest(): QueuedBatch | undefined {
    return this.#cut(0, 1)[0]
  }

  /** Its records are in memory no more. */
  unload(entry: QueuedBatch): void {
    this.#bytes -= entry.batch?.records.length ?? 0
    entry.batch = undefined
  }

  /** The batch goes on without its records. */
  empty(entry: QueuedBatch, rest: FlowBatch): void {
    this.#records -= entry.records
    this.unload(entry)
    entry.records = 0
    entry.batch = rest
    entry.loaded = undefined
    entry.unspoolable = false
  }

  #cut(first: number, count: number): QueuedBatch[] {
    const cut = this.#entries.splice(first, count)
    if (this.#next > first) this.#next = Math.max(first, this.#next - count)
    for (const entry of cut) {
      entry.gone = true
      this.#inFlightBytes -= entry.sentBytes
      this.#bytes -= entry.batch?.records.length ?? 0
      this.#records -= entry.records
    }
    return cut
  }
}
