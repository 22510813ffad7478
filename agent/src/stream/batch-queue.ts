// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import { batchTrouble, type FlowBatch, sumRecords } from '@flowdam/proto'
import type { DeadLetters } from './dead-letters.js'
import { type DropCounts, type QueueDropReason, QueueDrops } from './queue-drops.js'
import {
  emptyBatch,
  isMortal,
  NO_RECORDS,
  type QueuedBatch,
  queuedInMemory,
  queuedOnDisk,
} from './queued-batch.js'
import { isLeast, restOfRefused, SetAside, troubleOf } from './set-aside.js'
import { Spiller } from './spiller.js'
import type { Damage } from './spool/damage.js'
import type { DiskSpool, FoundBatch, Place } from './spool/disk-spool.js'
import { WaitingList } from './waiting-list.js'

/** A batch without records still carries its epoch's ledgers; of these so many are kept. */
const MOST_BATCHES = 65_536
/** Boots whose acknowledgements are remembered. */
const BOOTS = 64

export interface QueueLimits {
  /** Flow records in memory, bytes. */
  maxBytes: number
}

export interface BatchQueueOptions extends QueueLimits {
  spool?: DiskSpool | undefined
  /** Where batches are kept that no aggregator can take. */
  deadLetters?: DeadLetters | undefined
  log?: Logger
}

/**
 * Batches that no aggregator has acknowledged, oldest first: in memory, after a second on the disk as well, and when
 * the memory is full on the disk only. Bounded: when both are full the oldest flow detail goes, counted; the batch
 * stays, empty, so that its ledgers arrive and no sequence number is missing.
 */
export class BatchQueue {
  readonly #drops = new QueueDrops()
  /** Batches that went with their ledgers. */
  droppedBatches = 0
  /** Called when a batch that peek() had to read from the disk is there. */
  onLoaded: (() => void) | undefined
  readonly #list = new WaitingList()
  readonly #spool: DiskSpool | undefined
  readonly #spiller: Spiller | undefined
  readonly #log: Logger | undefined
  readonly #setAside: SetAside
  /** What is on its way aside. */
  readonly #replacing = new Set<Promise<void>>()
  #maxBytes: number
  /** boot and seq of the last batch pushed. */
  #newest = { bootId: 0, seq: 0 }
  /** Newest seq acknowledged, by boot: a batch may be made again by who did not hear of it. */
  readonly #acked = new Map<number, number>()

  constructor({ maxBytes, spool, deadLetters, log }: BatchQueueOptions) {
    this.#maxBytes = maxBytes
    this.#spool = spool
    this.#log = log
    this.#setAside = new SetAside({ deadLetters, log })
    this.#spiller = spool && new Spiller(spool, this.#spillerHost(), log)
  }

  /** Records lost here since start, by reason, and what they summed. */
  get dropped(): Readonly<DropCounts> {
    return this.#drops.records
  }
  get droppedPackets(): Readonly<DropCounts> {
    return this.#drops.packets
  }
  get droppedBytes(): Readonly<DropCounts> {
    return this.#drops.bytes
  }
  /** Batches and records not acknowledged. */
  get batches(): number {
    return this.#list.entries.length
  }
  get records(): number {
    return this.#list.records
  }
  /** Flow records in memory, bytes. */
  get bytes(): number {
    return this.#list.bytes
  }
  get maxBytes(): number {
    return this.#maxBytes
  }
  /** Segment files, bytes; 0 without a spool. */
  get spoolBytes(): number {
    return this.#spool?.bytes ?? 0
  }
  get spoolMaxBytes(): number {
    return this.#spool?.maxBytes ?? 0
  }
  /** Attempts to use the disk that failed. */
  get spoolErrors(): number {
    return this.#spiller?.trouble.errors ?? 0
  }
  /** The disk refuses. */
  get spoolFailing(): boolean {
    return this.#spiller?.trouble.lasts ?? false
  }
  /** Batches written to the disk since start. */
  get spooledBatches(): number {
    return this.#spiller?.written ?? 0
  }
  /** Batches set aside since start: malformed. */
  get setAside(): number {
    return this.#setAside.batches
  }
  /** Batches never sent on this connection. */
  get unsent(): number {
    return this.#list.unsent
  }
  /** Batches sent on this connection and not acknowledged. */
  get inFlight(): number {
    return this.#list.inFlight
  }
  get inFlightBytes(): number {
    return this.#list.inFlightBytes
  }
  /** Batches that die with this process. */
  get unsaved(): number {
    return this.#list.entries.filter(isMortal).length
  }
  /** seq of the oldest batch of a boot held, 0 for none. */
  oldestSeq(bootId: number): number {
    return this.#list.firstOf(bootId)?.seq ?? 0
  }
  /** Newest seq of a boot that an aggregator acknowledged to this process. */
  ackedSeq(bootId: number): number {
    return this.#acked.get(bootId) ?? 0
  }
  /** Everything up to this seq of the boot that is counting now survives this process: acknowledged or on the disk. */
  get durableSeq(): number {
    const { bootId, seq } = this.#newest
    const mortal = this.#list.firstOf(bootId, true)
    return mortal ? mortal.seq - 1 : seq
  }
  /** Since the oldest epoch held began, milliseconds; 0 when all is acknowledged. */
  get oldestAgeMs(): number {
    const oldest = this.#list.entries[0]
    return oldest ? Math.round(performance.now() - oldest.beganAt) : 0
  }
  /** How long the next batch to send has been waiting in this process, milliseconds; 0 when all were sent. */
  get unsentAgeMs(): number {
    const { next } = this.#list
    return next ? performance.now() - next.since : 0
  }

  /** Takes up what an earlier process left. */
  start(): void {
    this.#spiller?.start()
  }

  /** Writes what is not on the disk yet, at most for `waitMs`, and closes. */
  async stop(waitMs: number): Promise<void> {
    for (const entry of this.#list.entries) if (entry.batch) this.#isSound(entry, entry.batch)
    await Promise.all(this.#replacing)
    await this.#spiller?.stop(waitMs)
  }

  /** A batch that comes a second time is ignored. Batches of a boot come in order. */
  push(batch: FlowBatch): void {
    const { bootId, seq } = batch
    this.#newest = { bootId, seq }
    if (seq <= this.ackedSeq(bootId) || this.#list.has(bootId, seq)) return
    const trouble = batchTrouble(batch)
    this.#list.push(queuedInMemory(trouble ? this.#refuseNew(batch, trouble) : batch))
    // Early, so that there is something to let go of when the memory is full.
    if (this.#isHalfFull) this.#spiller?.write()
    this.#makeRoom()
  }

  /** The next batch to send: undefined when all were sent, or when it must come from the disk first (onLoaded). */
  peek(): FlowBatch | undefined {
    const entry = this.#list.next
    if (!entry) return undefined
    const batch = entry.batch ?? entry.loaded
    if (batch) return this.#isSound(entry, batch) ? batch : undefined
    void this.#spiller?.load(entry, () => this.onLoaded?.())
    return undefined
  }

  /**
   * An aggregator cannot take this batch: its flow detail is set aside. False when there is nothing to set aside that
   * would help.
   */
  async refuse(bootId: number, seq: number, reason: string, by: string): Promise<boolean> {
    const entry = this.#list.find(bootId, seq)
    if (!entry) return false
    const { place } = entry
    const batch = entry.batch ?? (place && (await this.#spiller?.read(place).catch(() => undefined)))
    // What cannot be read back is found when it is to be sent.
    if (!batch || entry.gone) return true
    if (isLeast(batch)) return false
    // Which of it the aggregator does not like, we cannot know.
    await this.#replace(entry, batch, { ...restOfRefused(batch, entry), ledgers: [] }, reason, by)
    return true
  }

  /** Marks what peek returned as sent to an aggregator, and says which one had it before. */
  sent(to: number): number | undefined {
    return this.#list.sent(to)
  }

  /** Everything of `bootId` up to `seq` is durable elsewhere. */
  acknowledge(bootId: number, seq: number): void {
    if (seq > this.ackedSeq(bootId)) {
      this.#acked.delete(bootId)
      this.#acked.set(bootId, seq)
    }
    const [oldest] = this.#acked.keys()
    if (this.#acked.size > BOOTS && oldest !== undefined) this.#acked.delete(oldest)
    for (const entry of this.#list.take(bootId, seq)) this.#release(entry)
  }

  /** A new connection: what is not acknowledged is sent again. */
  rewind(): void {
    this.#list.rewind()
  }

  setLimits(limits: QueueLimits): void {
    this.#maxBytes = limits.maxBytes
    this.#makeRoom()
  }

  get #isHalfFull(): boolean {
    return this.#list.bytes > this.#maxBytes / 2
  }

  #spillerHost() {
    const queue = this
    return {
      list: this.#list,
      get memoryHalfFull() {
        return queue.#isHalfFull
      },
      takeUp: (found: readonly FoundBatch[]) => this.#takeUp(found),
      lose: (entry: QueuedBatch, rest: FlowBatch, place?: Place) => this.#lose(entry, rest, place),
      makeRoom: () => this.#makeRoom(),
      isSound: (entry: QueuedBatch, batch: FlowBatch) => this.#isSound(entry, batch),
    }
  }

  #takeUp(found: readonly FoundBatch[]): void {
    const rests = this.#spool?.damages.splice(0).flatMap((damage) => this.#missing(damage)) ?? []
    const all = [...found.map(queuedOnDisk), ...rests.map(queuedInMemory)]
    this.#list.prepend(all.sort((a, b) => a.bootId - b.bootId || a.seq - b.seq))
    const torn = this.#spool?.tornBytes ?? 0
    if (found.length > 0 || torn > 0) {
      const line = { batches: found.length, records: this.records, tornBytes: torn }
      this.#log?.info(line, 'the spool holds batches of an earlier run; they are sent first')
    }
  }

  /** What goes on instead of batches that the disk has lost. */
  #missing(damage: Damage): FlowBatch[] {
    const { sums, names } = damage
    this.#drops.add('spool_damaged', sums.records, sums)
    this.#setAside.keepDamage(damage)
    return names.map(({ bootId, seq, epochStartUnixMs }, index) => {
      const rest = emptyBatch({ bootId, seq, epochStartUnixMs })
      // The last is next to what stands behind the damage.
      return index === names.length - 1 ? { ...rest, lost: { ...sums, reason: 'spool_damaged' } } : rest
    })
  }

  /** Malformed from the beginning; returns what goes on instead. */
  #refuseNew(batch: FlowBatch, trouble: string): FlowBatch {
    const rest = restOfRefused(batch, batch)
    if (rest.lost && batch.records.length > 0) this.#drops.add('refused', rest.lost.records, rest.lost)
    void this.#setAside.keep(batch, rest, trouble)
    return rest
  }

  /** Whether a batch may be sent and written; else it is on its way aside. */
  #isSound(entry: QueuedBatch, batch: FlowBatch): boolean {
    if (entry.aside) return false
    const trouble = troubleOf(batch, entry)
    if (!trouble) return true
    const rest = restOfRefused(batch, entry)
    void this.#replace(entry, batch, rest, trouble).then(() => this.onLoaded?.())
    return false
  }

  async #replace(entry: QueuedBatch, batch: FlowBatch, rest: FlowBatch, reason: string, by?: string) {
    const { records } = entry
    entry.aside = true
    const kept = this.#setAside.keep(batch, rest, reason, by).then(async () => {
      if (this.#spiller) await this.#spiller.replace(entry, records, rest)
      else if (!entry.gone && entry.records === records) this.#lose(entry, rest)
      entry.aside = false
    })
    this.#replacing.add(kept)
    await kept.finally(() => this.#replacing.delete(kept))
  }

  /** The batch goes on without its records. */
  #lose(entry: QueuedBatch, rest: FlowBatch, place?: Place): void {
    if (rest.lost && entry.records > 0)
      this.#drops.add(rest.lost.reason as QueueDropReason, entry.records, rest.lost)
    this.#list.empty(entry, rest)
    if (entry.place && entry.place !== place) this.#spool?.release(entry.place)
    entry.place = place
  }

  #release(entry: QueuedBatch): void {
    if (entry.place) this.#spool?.release(entry.place)
  }

  #makeRoom(): void {
    const { entries } = this.#list
    for (let at = entries.length - 1; at >= 0 && this.bytes > this.#maxBytes; at--) {
      const entry = entries[at] as QueuedBatch
      // Of what was given up on the disk the memory has the only records.
      if (entry.place && !(entry.lost && entry.records > 0)) this.#list.unload(entry)
    }
    for (let at = 0; at < entries.length && this.bytes > this.#maxBytes; at++) {
      const entry = entries[at] as QueuedBatch
      if (entry.batch && entry.records > 0) this.#giveUp(entry, entry.batch)
    }
    if (entries.length > MOST_BATCHES) this.#giveUpOldest()
  }

  /** Nothing has room for its records. */
  #giveUp(entry: QueuedBatch, batch: FlowBatch): void {
    const lost = entry.lost ?? { ...sumRecords(batch.records), reason: this.#reasonInMemory(entry) }
    this.#lose(entry, { ...batch, records: NO_RECORDS, lost }, entry.lost && entry.place)
  }

  /** With its ledgers: there are too many. */
  #giveUpOldest(): void {
    const oldest = this.#list.takeOldest()
    if (!oldest) return
    const sums = oldest.batch ? sumRecords(oldest.batch.records) : oldest.place
    if (oldest.records > 0 && sums)
      this.#drops.add(this.#spool ? 'spool_full' : 'queue_full', oldest.records, sums)
    this.#release(oldest)
    this.droppedBatches++
  }

  #reasonInMemory(entry: QueuedBatch): QueueDropReason {
    if (!this.#spool) return 'queue_full'
    if (this.spoolFailing) return 'spool_failed'
    return entry.unspoolable ? 'spool_full' : 'spool_slow'
  }
}
