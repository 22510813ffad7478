// SPDX-License-Identifier: Apache-2.0
import { describeError, type Logger } from '@flowdam/common'
import { type FlowBatch, type Loss, RECORD_SIZE, sumRecords } from '@flowdam/proto'
import type { DiskSpool, FoundBatch, Place } from './spool/disk-spool.js'
import { FRAME_HEADER } from './spool/frame.js'

/** A batch without records still carries its epoch's ledgers; of these so many are kept. */
const MOST_BATCHES = 65_536
/** What was not acknowledged for so long goes to the disk: the aggregator is away, and this process may die. */
const SPILL_AFTER_MS = 1000
/** One write and sync. */
const GROUP_BYTES = 4 << 20
const GROUP_BATCHES = 64
const RETRY_MS = [500, 10_000] as const
/** A part of spool.max in which the rests of given-up batches have room. */
const RESERVE = 32
/** Meta of a batch with all ledgers there can be; for the spool's limit. */
const META_BYTES = 1024
/** Boots whose acknowledgements are remembered. */
const BOOTS = 64
const NOTHING = Buffer.alloc(0)

export interface QueueLimits {
  /** Flow records in memory, bytes. */
  maxBytes: number
}

/**
 * Why records were lost here: no spool and the memory full; the disk slower than what comes; the disk refusing;
 * spool.max reached; a frame that cannot be read back.
 */
export const QUEUE_DROP_REASONS = [
  'queue_full',
  'spool_slow',
  'spool_failed',
  'spool_full',
  'spool_damaged',
] as const
export type QueueDropReason = (typeof QUEUE_DROP_REASONS)[number]

/** A batch that waits, wherever it is. */
export interface QueuedBatch {
  readonly bootId: number
  readonly seq: number
  /** Flow records it has, in memory or on the disk. */
  records: number
  readonly epochStartUnixMs: number
  /** In memory; its records may have been given up. */
  batch: FlowBatch | undefined
  /** On the disk. */
  place: Place | undefined
  /** Its place on the disk says only this of its records: they were given up there. */
  lost: Loss | undefined
  /** Read back for sending. */
  loaded: FlowBatch | undefined
  readonly since: number
  /** When its epoch began, milliseconds of performance.now(): the wall clock may be set meanwhile. */
  readonly beganAt: number
  /** Given up on the disk, or acknowledged: not to be written again. */
  unspoolable: boolean
  gone: boolean
  /** Of its records on this connection, 0 when it was not sent. */
  sentBytes: number
  /** Which aggregator it went to last, by its position in the configuration. */
  sentTo: number | undefined
}

export interface BatchQueueOptions extends QueueLimits {
  spool?: DiskSpool | undefined
  log?: Logger
}

/**
 * Batches that no aggregator has acknowledged, oldest first: in memory, after a second on the disk as well, and when
 * the memory is full on the disk only. Bounded: when both are full the oldest flow detail goes, counted; the batch
 * stays, empty, so that its ledgers arrive and no sequence number is missing.
 */
export class BatchQueue {
  /** Records lost here since start, by reason. */
  readonly dropped = noDrops()
  /** What those records summed. */
  readonly droppedPackets = noDrops()
  readonly droppedBytes = noDrops()
  /** Batches that went with their ledgers. */
  droppedBatches = 0
  /** Attempts to use the disk that failed. */
  spoolErrors = 0
  /** Batches written to the disk since start. */
  spooledBatches = 0
  /** Called when a batch that peek() had to read from the disk is there. */
  onLoaded: (() => void) | undefined
  readonly #spool: DiskSpool | undefined
  readonly #log: Logger | undefined
  #maxBytes: number
  #batches: QueuedBatch[] = []
  /** Position of the next batch to send. */
  #next = 0
  /** boot and seq of the last batch pushed. */
  #newest = { bootId: 0, seq: 0 }
  /** Newest seq acknowledged, by boot: a batch may be made again by who did not hear of it. */
  readonly #acked = new Map<number, number>()
  #bytes = 0
  #records = 0
  #inFlightBytes = 0
  #loading: QueuedBatch | undefined
  #writing: Promise<void> | undefined
  #writeAll = false
  #timer: NodeJS.Timeout | undefined
  #retryMs: number = RETRY_MS[0]
  /** When the disk is tried again, milliseconds of performance.now(). */
  #nextTry = 0
  #failing = false
  /** Not even without its oldest segments does the spool have room. */
  #noRoom = false
  #spoolOpen = false

  constructor(options: BatchQueueOptions) {
    this.#maxBytes = options.maxBytes
    this.#spool = options.spool
    this.#log = options.log
  }

  /** Batches and records not acknowledged. */
  get batches(): number {
    return this.#batches.length
  }
  get records(): number {
    return this.#records
  }
  /** Flow records in memory, bytes. */
  get bytes(): number {
    return this.#bytes
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
  /** Batches never sent on this connection. */
  get unsent(): number {
    return this.#batches.length - this.#next
  }
  /** Batches sent on this connection and not acknowledged. */
  get inFlight(): number {
    return this.#next
  }
  get inFlightBytes(): number {
    return this.#inFlightBytes
  }
  /** seq of the oldest batch of a boot held, 0 for none. */
  oldestSeq(bootId: number): number {
    return this.#batches.find((entry) => entry.bootId === bootId)?.seq ?? 0
  }
  /** Newest seq of a boot that an aggregator acknowledged to this process. */
  ackedSeq(bootId: number): number {
    return this.#acked.get(bootId) ?? 0
  }
  /** Everything up to this seq of the boot that is counting now survives this process: acknowledged or on the disk. */
  get durableSeq(): number {
    const { bootId, seq } = this.#newest
    const mortal = this.#batches.find((entry) => entry.bootId === bootId && isMortal(entry))
    return mortal ? mortal.seq - 1 : seq
  }
  /** Since the oldest epoch held began, milliseconds; 0 when all is acknowledged. */
  get oldestAgeMs(): number {
    const oldest = this.#batches[0]
    return oldest ? Math.round(performance.now() - oldest.beganAt) : 0
  }
  /** How long the next batch to send has been waiting in this process, milliseconds; 0 when all were sent. */
  get unsentAgeMs(): number {
    const next = this.#batches[this.#next]
    return next ? performance.now() - next.since : 0
  }
  /** The disk refuses. */
  get spoolFailing(): boolean {
    return this.#failing
  }

  /** Takes up what an earlier process left. A spool that cannot be used is counted and logged, and done without. */
  start(): void {
    if (!this.#spool) return
    try {
      const found = this.#spool.start()
      this.#spoolOpen = true
      this.#takeUp(found)
    } catch (error) {
      this.#failed(error)
    }
    this.#timer = setInterval(() => this.#write(), SPILL_AFTER_MS / 2)
  }

  /** Writes what is not on the disk yet, at most for `waitMs`, and closes. */
  async stop(waitMs: number): Promise<void> {
    clearInterval(this.#timer)
    if (!this.#spool || !this.#spoolOpen) return
    this.#writeAll = true
    const end = performance.now() + waitMs
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, waitMs)
    })
    do {
      this.#write()
      await Promise.race([this.#writing, patience])
    } while (this.#due().length > 0 && !this.#failing && !this.#noRoom && performance.now() < end)
    clearTimeout(timer)
    this.#spoolOpen = false
    await this.#spool.stop()
  }

  /** Batches that die with this process. */
  get unsaved(): number {
    return this.#batches.filter(isMortal).length
  }

  /** A batch that comes a second time is ignored. Batches of a boot come in order. */
  push(batch: FlowBatch): void {
    const { bootId, seq } = batch
    this.#newest = { bootId, seq }
    if (seq <= this.ackedSeq(bootId) || this.#has(bootId, seq)) return
    const records = batch.records.length / RECORD_SIZE
    this.#batches.push({
      bootId,
      seq,
      records,
      epochStartUnixMs: batch.epochStartUnixMs,
      batch,
      place: undefined,
      lost: undefined,
      loaded: undefined,
      since: performance.now(),
      beganAt: beganAt(batch),
      unspoolable: false,
      gone: false,
      sentBytes: 0,
      sentTo: undefined,
    })
    this.#bytes += batch.records.length
    this.#records += records
    // Early, so that there is something to let go of when the memory is full.
    if (this.#bytes > this.#maxBytes / 2) this.#write()
    this.#makeRoom()
  }

  /** The next batch to send: undefined when all were sent, or when it must come from the disk first (onLoaded). */
  peek(): FlowBatch | undefined {
    const entry = this.#batches[this.#next]
    if (!entry) return undefined
    if (entry.batch || entry.loaded) return entry.batch ?? entry.loaded
    void this.#load(entry)
    return undefined
  }

  /** Marks what peek returned as sent to an aggregator, and says which one had it before. */
  sent(to: number): number | undefined {
    const entry = this.#batches[this.#next++]
    if (!entry) return undefined
    entry.sentBytes = entry.records * RECORD_SIZE
    this.#inFlightBytes += entry.sentBytes
    entry.loaded = undefined
    const before = entry.sentTo
    entry.sentTo = to
    return before
  }

  /** Everything of `bootId` up to `seq` is durable elsewhere. */
  acknowledge(bootId: number, seq: number): void {
    if (seq > this.ackedSeq(bootId)) {
      this.#acked.delete(bootId)
      this.#acked.set(bootId, seq)
    }
    const [oldest] = this.#acked.keys()
    if (this.#acked.size > BOOTS && oldest !== undefined) this.#acked.delete(oldest)
    const first = this.#batches.findIndex((entry) => entry.bootId === bootId)
    if (first < 0) return
    let end = first
    for (
      let entry = this.#batches[end];
      entry?.bootId === bootId && entry.seq <= seq;
      entry = this.#batches[++end]
    ) {
      this.#forget(entry)
    }
    this.#cut(first, end - first)
  }

  /** A new connection: what is not acknowledged is sent again. */
  rewind(): void {
    this.#next = 0
    this.#inFlightBytes = 0
    for (const entry of this.#batches) {
      entry.loaded = undefined
      entry.sentBytes = 0
    }
  }

  setLimits(limits: QueueLimits): void {
    this.#maxBytes = limits.maxBytes
    this.#makeRoom()
  }

  #has(bootId: number, seq: number): boolean {
    const last = this.#batches.at(-1)
    if (!last || last.bootId < bootId || (last.bootId === bootId && last.seq < seq)) return false
    return this.#batches.some((entry) => entry.bootId === bootId && entry.seq === seq)
  }

  #takeUp(found: readonly FoundBatch[]): void {
    const now = performance.now()
    const entries = found.map(({ batch, place }) => ({
      bootId: batch.bootId,
      seq: batch.seq,
      records: place.recordBytes / RECORD_SIZE,
      epochStartUnixMs: batch.epochStartUnixMs,
      batch: undefined,
      place,
      lost: place.recordBytes === 0 ? batch.lost : undefined,
      loaded: undefined,
      since: now,
      beganAt: beganAt(batch),
      unspoolable: false,
      gone: false,
      sentBytes: 0,
      sentTo: undefined,
    }))
    this.#batches.unshift(...entries)
    this.rewind()
    for (const { records } of entries) this.#records += records
    const torn = this.#spool?.tornBytes ?? 0
    if (entries.length > 0 || torn > 0) {
      const line = { batches: entries.length, records: this.#records, tornBytes: torn }
      this.#log?.info(line, 'the spool holds batches of an earlier run; they are sent first')
    }
  }

  async #load(entry: QueuedBatch): Promise<void> {
    const { place } = entry
    if (this.#loading || !place || !this.#spool) return
    this.#loading = entry
    try {
      entry.loaded = await this.#spool.read(place)
    } catch (error) {
      // Given up or acknowledged meanwhile: that is no damage.
      if (entry.place === place && !entry.gone) {
        this.spoolErrors++
        this.#log?.error({ reason: describeError(error) }, 'a batch cannot be read back from the spool')
        const empty = await this.#spool.readMeta(place).catch(() => emptyBatch(entry))
        if (entry.place === place && !entry.gone) this.#lose(entry, without(empty, place, 'spool_damaged'))
      }
    } finally {
      this.#loading = undefined
    }
    this.onLoaded?.()
  }

  /** Starts writing if there is something due; one write at a time. */
  #write(): void {
    if (!this.#spool || this.#writing) return
    this.#writing = this.#writeDue(this.#spool)
      .catch((error) => this.#failed(error))
      .finally(() => {
        this.#writing = undefined
        this.#makeRoom()
      })
  }

  async #writeDue(spool: DiskSpool): Promise<void> {
    if (!this.#spoolOpen) {
      if (!this.#retryDue()) return
      const left = spool.start()
      this.#spoolOpen = true
      this.#takeUp(left)
    }
    if (this.#failing && !this.#writeAll && !this.#retryDue()) return
    for (let group = this.#due(); group.length > 0; group = this.#due()) {
      const need = group.reduce(
        (sum, { records }) => sum + records * RECORD_SIZE + FRAME_HEADER + META_BYTES,
        0,
      )
      // Giving up takes room itself, until the segment is gone.
      const limit = spool.maxBytes - spool.maxBytes / RESERVE
      while (spool.bytes + need > limit) if (!(await this.#giveUpOldest(spool, 'spool_full'))) break
      this.#noRoom = spool.bytes + need > limit
      if (this.#noRoom) return
      const batches = group.map(({ batch }) => batch as FlowBatch)
      const places = await this.#tryWrite(spool, batches)
      for (const [index, entry] of group.entries()) {
        const place = places[index] as Place
        // Meanwhile acknowledged, or its records given up: what was written is not what it is now.
        if (entry.gone || entry.unspoolable || entry.batch !== batches[index]) spool.release(place)
        else {
          entry.place = place
          this.spooledBatches++
        }
      }
      this.#makeRoom()
    }
  }

  async #tryWrite(spool: DiskSpool, batches: readonly FlowBatch[]): Promise<Place[]> {
    try {
      const places = await spool.write(batches)
      if (this.#failing) this.#log?.info('the spool writes again')
      this.#failing = false
      this.#retryMs = RETRY_MS[0]
      return places
    } catch (error) {
      // A disk that others have filled: room for the newest is made at the cost of our oldest.
      const full = (error as NodeJS.ErrnoException).code === 'ENOSPC' && this.#bytes > this.#maxBytes / 2
      if (full) await this.#giveUpOldest(spool, 'spool_failed')
      throw error
    }
  }

  /** What is in memory only and old enough, or all of it when the memory gets full or the process ends. */
  #due(): QueuedBatch[] {
    const now = performance.now()
    const all = this.#writeAll || this.#bytes > this.#maxBytes / 2
    const groupBytes = Math.min(GROUP_BYTES, this.spoolMaxBytes / 8)
    const group: QueuedBatch[] = []
    let bytes = 0
    for (const entry of this.#batches) {
      if (entry.place || entry.unspoolable || !entry.batch) continue
      if (!all && now - entry.since < SPILL_AFTER_MS) break
      group.push(entry)
      bytes += entry.records * RECORD_SIZE
      if (bytes >= groupBytes || group.length >= GROUP_BATCHES) break
    }
    return group
  }

  /**
   * The oldest segment's flow detail goes. What the memory holds as well stays there. First the disk has what is left of
   * the batches: an agent killed in between sends that, or the whole, and no packet is missing without being counted.
   */
  async #giveUpOldest(spool: DiskSpool, reason: QueueDropReason): Promise<boolean> {
    const segment = spool.oldest()
    if (!segment) return false
    await spool.leave(segment)
    const rests: { entry: QueuedBatch; place: Place; rest: FlowBatch }[] = []
    for (const entry of this.#batches) {
      const { place } = entry
      if (place?.segment !== segment) continue
      const meta = entry.batch ?? (await spool.readMeta(place).catch(() => emptyBatch(entry)))
      rests.push({
        entry,
        place,
        rest: entry.lost ? { ...meta, records: NOTHING, lost: entry.lost } : without(meta, place, reason),
      })
    }
    const written: (Place | undefined)[] = await spool.write(rests.map(({ rest }) => rest)).catch(() => [])
    for (const [index, { entry, place, rest }] of rests.entries()) {
      const restPlace = written[index]
      if (entry.gone || entry.place !== place) {
        if (restPlace) spool.release(restPlace)
        continue
      }
      spool.release(place)
      entry.place = restPlace
      // What had no records before has none to lose.
      const had = entry.lost === undefined && place.recordBytes > 0
      entry.lost = rest.lost
      if (entry.batch) entry.unspoolable = had || entry.unspoolable
      else if (had) this.#lose(entry, rest, restPlace)
      else if (!restPlace) entry.batch = rest
    }
    return true
  }

  /** The batch goes on without its records. */
  #lose(entry: QueuedBatch, rest: FlowBatch, place?: Place): void {
    const { reason, packets, bytes } = rest.lost as Loss
    const why = reason as QueueDropReason
    this.dropped[why] += entry.records
    this.droppedPackets[why] += packets
    this.droppedBytes[why] += bytes
    this.#records -= entry.records
    if (entry.batch) this.#bytes -= entry.batch.records.length
    entry.records = 0
    entry.batch = rest
    entry.loaded = undefined
    entry.unspoolable = false
    if (entry.place && entry.place !== place) this.#spool?.release(entry.place)
    entry.place = place
  }

  #makeRoom(): void {
    for (let at = this.#batches.length - 1; at >= 0 && this.#bytes > this.#maxBytes; at--) {
      const entry = this.#batches[at] as QueuedBatch
      if (!entry.place || !entry.batch) continue
      if (entry.lost && entry.records > 0) continue
      this.#bytes -= entry.batch.records.length
      entry.batch = undefined
    }
    for (let at = 0; at < this.#batches.length && this.#bytes > this.#maxBytes; at++) {
      const entry = this.#batches[at] as QueuedBatch
      if (!entry.batch || entry.records === 0) continue
      const { batch } = entry
      const lost = entry.lost ?? { ...sumRecords(batch.records), reason: this.#reasonInMemory(entry) }
      this.#lose(entry, { ...batch, records: NOTHING, lost }, entry.lost && entry.place)
    }
    if (this.#batches.length > MOST_BATCHES) {
      const oldest = this.#batches[0] as QueuedBatch
      const why = this.#spool ? 'spool_full' : 'queue_full'
      const sums = oldest.batch ? sumRecords(oldest.batch.records) : oldest.place
      this.dropped[why] += oldest.records
      this.droppedPackets[why] += oldest.records > 0 ? (sums?.packets ?? 0) : 0
      this.droppedBytes[why] += oldest.records > 0 ? (sums?.bytes ?? 0) : 0
      this.#forget(oldest)
      this.#cut(0, 1)
      this.droppedBatches++
    }
  }

  #reasonInMemory(entry: QueuedBatch): QueueDropReason {
    if (!this.#spool) return 'queue_full'
    if (this.#failing) return 'spool_failed'
    return entry.unspoolable ? 'spool_full' : 'spool_slow'
  }

  #forget(entry: QueuedBatch): void {
    entry.gone = true
    this.#inFlightBytes -= entry.sentBytes
    if (entry.batch) this.#bytes -= entry.batch.records.length
    this.#records -= entry.records
    if (entry.place) this.#spool?.release(entry.place)
  }

  #cut(first: number, count: number): void {
    this.#batches.splice(first, count)
    if (this.#next > first) this.#next = Math.max(first, this.#next - count)
  }

  #retryDue(): boolean {
    return performance.now() >= this.#nextTry
  }

  #failed(error: unknown): void {
    this.spoolErrors++
    if (!this.#failing) {
      this.#log?.error(
        { reason: describeError(error) },
        'the spool fails; batches stay in memory as far as they fit',
      )
    }
    this.#failing = true
    this.#nextTry = performance.now() + this.#retryMs
    this.#retryMs = Math.min(RETRY_MS[1], this.#retryMs * 2)
  }
}

/** Dies with this process. */
function isMortal({ place }: QueuedBatch): boolean {
  return place === undefined
}

function beganAt({ epochStartUnixMs }: FlowBatch): number {
  return performance.now() - Math.max(0, Date.now() - epochStartUnixMs)
}

function emptyBatch({ bootId, seq, epochStartUnixMs }: QueuedBatch): FlowBatch {
  return { bootId, seq, epochStartUnixMs, epochMs: 0, records: NOTHING, ledgers: [], lost: undefined }
}

/** A batch that was on the disk, as it is without its records there. */
function without(batch: FlowBatch, place: Place, reason: QueueDropReason): FlowBatch {
  const { recordBytes, packets, bytes } = place
  const lost: Loss | undefined =
    recordBytes > 0 ? { records: recordBytes / RECORD_SIZE, packets, bytes, reason } : batch.lost
  return { ...batch, records: NOTHING, lost }
}

function noDrops(): Record<QueueDropReason, number> {
  return { queue_full: 0, spool_slow: 0, spool_failed: 0, spool_full: 0, spool_damaged: 0 }
}
