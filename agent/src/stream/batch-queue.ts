// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import { type FlowBatch, type RecordSums, sumRecords } from '@flowdam/proto'
import type { DeadLetters } from './dead-letters.js'
import { type DropCounts, type QueueDropReason, QueueDrops } from './queue-drops.js'
import { isMortal, NO_RECORDS, type QueuedBatch, queuedInMemory, queuedOnDisk } from './queued-batch.js'
import { SetAside } from './set-aside.js'
import { Spiller } from './spiller.js'
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
  #maxBytes: number
  /** boot and seq of the last batch pushed. */
  #newest = { bootId: 0, seq: 0 }
  /** Numbers of a boot that another agent used. */
  #taken = { bootId: 0, after: 0, upTo: 0 }
  /** Newest seq acknowledged, by boot: a batch may be made again by who did not hear of it. */
  readonly #acked = new Map<number, number>()

  constructor({ maxBytes, spool, deadLetters, log }: BatchQueueOptions) {
    this.#maxBytes = maxBytes
    this.#spool = spool
    this.#log = log
    this.#setAside = new SetAside({
      ...{ deadLetters, log },
      drops: this.#drops,
      replace: async (entry, records, rest) => {
        if (this.#spiller) await this.#spiller.replace(entry, records, rest)
        else if (!entry.gone && entry.records === records) this.#lose(entry, rest)
      },
      replaced: () => this.onLoaded?.(),
    })
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
  /** Newest seq of a boot that an Ack on this connection can be about. */
  ackableSeq(bootId: number): number {
    return Math.max(this.ackedSeq(bootId), this.#list.newestSent(bootId))
  }
  /** Newest seq of a boot that was pushed. */
  madeSeq(bootId: number): number {
    return this.#newest.bootId === bootId ? this.#newest.seq : 0
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
    await this.#setAside.settle(this.#list.entries)
    await this.#spiller?.stop(waitMs)
  }

  /** A batch that comes a second time is ignored. Batches of a boot come in order. */
  push(batch: FlowBatch): void {
    const { bootId, seq } = batch
    this.#newest = { bootId, seq }
    const { after, upTo } = this.#taken
    // Numbered before we knew.
    if (bootId === this.#taken.bootId && seq > after && seq <= upTo) {
      this.#loseNumber(sumRecords(batch.records))
      return
    }
    if (seq <= this.ackedSeq(bootId) || this.#list.has(bootId, seq)) return
    this.#list.push(queuedInMemory(this.#setAside.orRest(batch)))
    // Early, so that there is something to let go of when the memory is full.
    if (this.#isHalfFull) this.#spiller?.write()
    this.#makeRoom()
  }

  /** The next batch to send: undefined when all were sent, or when it must come from the disk first (onLoaded). */
  peek(): FlowBatch | undefined {
    const entry = this.#list.next
    if (!entry) return undefined
    const batch = entry.batch ?? entry.loaded
    if (batch) return this.#setAside.isSound(entry, batch) ? batch : undefined
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
    return this.#setAside.refuse(entry, batch, reason, by)
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

  /** An aggregator has batches of ours under these numbers, which we did not give to any yet or gave to others. */
  numbersTaken(bootId: number, after: number, upTo: number): void {
    this.#taken = { bootId, after, upTo }
    for (const { batch, place, ...entry } of this.#list.entries) {
      // What was sent may be what it has.
      if (entry.bootId !== bootId || entry.seq > upTo || entry.sentTo !== undefined || entry.records === 0)
        continue
      const sums = batch ? sumRecords(batch.records) : place
      if (sums) this.#loseNumber({ ...sums, records: entry.records })
    }
    this.acknowledge(bootId, upTo)
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
      isSound: (entry: QueuedBatch, batch: FlowBatch) => this.#setAside.isSound(entry, batch),
    }
  }

  #takeUp(found: readonly FoundBatch[]): void {
    const rests = this.#spool?.damages.splice(0).flatMap((damage) => this.#setAside.missing(damage)) ?? []
    const all = [...found.map(queuedOnDisk), ...rests.map(queuedInMemory)]
    this.#list.prepend(all.sort((a, b) => a.bootId - b.bootId || a.seq - b.seq))
    const torn = this.#spool?.tornBytes ?? 0
    if (found.length > 0 || torn > 0) {
      const line = { batches: found.length, records: this.records, tornBytes: torn }
      this.#log?.info(line, 'the spool holds batches of an earlier run; they are sent first')
    }
  }

  /** It would be taken for the other's, and acknowledged. */
  #loseNumber(sums: RecordSums): void {
    this.#drops.add('number_taken', sums.records, sums)
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
