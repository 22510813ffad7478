// SPDX-License-Identifier: Apache-2.0
import { describeError, type Logger } from '@flowdam/common'
import { type FlowBatch, RECORD_SIZE } from '@flowdam/proto'
import { DiskTrouble } from './disk-trouble.js'
import type { QueueDropReason } from './queue-drops.js'
import { emptyBatch, NO_RECORDS, type QueuedBatch } from './queued-batch.js'
import type { DiskSpool, FoundBatch, Place } from './spool/disk-spool.js'
import { FRAME_HEADER } from './spool/frame.js'
import type { WaitingList } from './waiting-list.js'

/** What was not acknowledged for so long goes to the disk: the aggregator is away, and this process may die. */
const SPILL_AFTER_MS = 1000
/** One write and sync. */
const GROUP_BYTES = 4 << 20
const GROUP_BATCHES = 64
/** A part of spool.max in which the rests of given-up batches have room. */
const RESERVE = 32
/** Meta of a batch with all ledgers there can be; for the spool's limit. */
const META_BYTES = 1024

type SpoolDropReason = Extract<QueueDropReason, `spool_${string}`>

/** The queue, as far as the disk has to know it. */
export interface SpillerHost {
  readonly list: WaitingList
  /** Not only what is old should be written now. */
  readonly memoryHalfFull: boolean
  /** Batches of an earlier process. */
  takeUp(found: readonly FoundBatch[]): void
  /** The batch goes on as `rest`, without its records; `place` is where that is on the disk. */
  lose(entry: QueuedBatch, rest: FlowBatch, place?: Place): void
  /** There may be something in memory that is on the disk now. */
  makeRoom(): void
  /** Whether it may be written; else it is being set aside. */
  isSound(entry: QueuedBatch, batch: FlowBatch): boolean
}

/** Between the batches that wait and the disk: writes what is due, makes room there, survives a disk that refuses. */
export class Spiller {
  /** Batches written since start. */
  written = 0
  readonly trouble: DiskTrouble
  readonly #spool: DiskSpool
  readonly #host: SpillerHost
  readonly #log: Logger | undefined
  #writing: Promise<void> | undefined
  #loading: QueuedBatch | undefined
  #writeAll = false
  #timer: NodeJS.Timeout | undefined
  /** Not even without its oldest segments does the spool have room. */
  #noRoom = false
  #open = false

  constructor(spool: DiskSpool, host: SpillerHost, log: Logger | undefined) {
    this.#spool = spool
    this.#host = host
    this.#log = log
    this.trouble = new DiskTrouble(log)
  }

  /** A spool that cannot be used is counted and logged, and done without. */
  start(): void {
    try {
      this.#begin()
    } catch (error) {
      this.trouble.failed(error)
    }
    this.#timer = setInterval(() => this.write(), SPILL_AFTER_MS / 2)
  }

  /** Writes what is not on the disk yet, at most for `waitMs`, and closes. */
  async stop(waitMs: number): Promise<void> {
    clearInterval(this.#timer)
    if (!this.#open) return
    this.#writeAll = true
    const end = performance.now() + waitMs
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, waitMs)
    })
    do {
      this.write()
      await Promise.race([this.#writing, patience])
    } while (this.#due().length > 0 && !this.trouble.lasts && !this.#noRoom && performance.now() < end)
    clearTimeout(timer)
    this.#open = false
    await this.#spool.stop()
  }

  /** Starts writing if there is something due; one write at a time. */
  write(): void {
    if (this.#writing) return
    this.#writing = this.#writeDue()
      .catch((error) => this.trouble.failed(error))
      .finally(() => {
        this.#writing = undefined
        this.#host.makeRoom()
      })
  }

  /** The batch, which has `records`, goes on as `rest`; the disk has that before it gives up what it has of it. */
  async replace(entry: QueuedBatch, records: number, rest: FlowBatch): Promise<void> {
    while (entry.place && this.#open && this.#writing) await this.#writing
    // Meanwhile acknowledged, or its records given up: it is looked at again.
    if (entry.gone || entry.records !== records) return
    if (!entry.place || !this.#open) return this.#host.lose(entry, rest)
    const work = this.#spool
      .write([rest])
      .then(([place]) => place)
      .catch((error: unknown) => void this.trouble.failed(error))
      .then((place) => {
        if (!entry.gone) this.#host.lose(entry, rest, place)
        else if (place) this.#spool.release(place)
      })
    this.#writing = work.finally(() => {
      this.#writing = undefined
    })
    await this.#writing
  }

  /** The batch as it is on the disk. FD_SPOOL_DAMAGED. */
  read(place: Place): Promise<FlowBatch> {
    return this.#spool.read(place)
  }

  /** Reads a batch back for sending. */
  async load(entry: QueuedBatch, done: () => void): Promise<void> {
    const { place } = entry
    if (this.#loading || !place) return
    this.#loading = entry
    try {
      entry.loaded = await this.#spool.read(place)
    } catch (error) {
      // Given up or acknowledged meanwhile: that is no damage.
      if (entry.place === place && !entry.gone) {
        this.trouble.errors++
        this.#log?.error({ reason: describeError(error) }, 'a batch cannot be read back from the spool')
        const meta = await this.#spool.readMeta(place).catch(() => emptyBatch(entry))
        const { lost } = entry
        const rest = lost ? { ...meta, records: NO_RECORDS, lost } : restOf(meta, place, 'spool_damaged')
        if (entry.place === place && !entry.gone) this.#host.lose(entry, rest)
      }
    } finally {
      this.#loading = undefined
    }
    done()
  }

  #begin(): void {
    const found = this.#spool.start()
    this.#open = true
    this.#host.takeUp(found)
  }

  async #writeDue(): Promise<void> {
    const spool = this.#spool
    if (!this.#open) {
      if (!this.trouble.mayTry) return
      this.#begin()
    }
    if (this.trouble.lasts && !this.#writeAll && !this.trouble.mayTry) return
    for (let group = this.#due(); group.length > 0; group = this.#due()) {
      const need = group.reduce(
        (sum, { records }) => sum + records * RECORD_SIZE + FRAME_HEADER + META_BYTES,
        0,
      )
      // Giving up takes room itself, until the segment is gone.
      const limit = spool.maxBytes - spool.maxBytes / RESERVE
      while (spool.bytes + need > limit) if (!(await this.#giveUpOldest('spool_full'))) break
      this.#noRoom = spool.bytes + need > limit
      if (this.#noRoom) return
      const batches = group.map(({ batch }) => batch as FlowBatch)
      const places = await this.#tryWrite(batches)
      for (const [index, entry] of group.entries()) {
        const place = places[index] as Place
        // Meanwhile acknowledged, or its records given up: what was written is not what it is now.
        if (entry.gone || entry.unspoolable || entry.batch !== batches[index]) spool.release(place)
        else {
          entry.place = place
          this.written++
        }
      }
      this.#host.makeRoom()
    }
  }

  async #tryWrite(batches: readonly FlowBatch[]): Promise<Place[]> {
    try {
      const places = await this.#spool.write(batches)
      this.trouble.over()
      return places
    } catch (error) {
      // A disk that others have filled: room for the newest is made at the cost of our oldest.
      const full = (error as NodeJS.ErrnoException).code === 'ENOSPC' && this.#host.memoryHalfFull
      if (full) await this.#giveUpOldest('spool_failed')
      throw error
    }
  }

  /** What is in memory only and old enough, or all of it when the memory gets full or the process ends. */
  #due(): QueuedBatch[] {
    const now = performance.now()
    const all = this.#writeAll || this.#host.memoryHalfFull
    const groupBytes = Math.min(GROUP_BYTES, this.#spool.maxBytes / 8)
    const group: QueuedBatch[] = []
    let bytes = 0
    for (const entry of this.#host.list.entries) {
      if (entry.place || entry.unspoolable || !entry.batch) continue
      if (!all && now - entry.since < SPILL_AFTER_MS) break
      if (!this.#host.isSound(entry, entry.batch)) continue
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
  async #giveUpOldest(reason: SpoolDropReason): Promise<boolean> {
    const spool = this.#spool
    const segment = spool.oldest()
    if (!segment) return false
    await spool.leave(segment)
    const rests: Rest[] = []
    for (const entry of this.#host.list.entries.filter(({ place }) => place?.segment === segment)) {
      const { place } = entry
      if (!place) continue
      const meta = entry.batch ?? (await spool.readMeta(place).catch(() => emptyBatch(entry)))
      const { lost } = entry
      rests.push({
        entry,
        place,
        rest: lost ? { ...meta, records: NO_RECORDS, lost } : restOf(meta, place, reason),
      })
    }
    const written: (Place | undefined)[] = await spool.write(rests.map(({ rest }) => rest)).catch(() => [])
    for (const [index, rest] of rests.entries()) this.#goOnAs(rest, written[index])
    return true
  }

  #goOnAs({ entry, place, rest }: Rest, restPlace: Place | undefined): void {
    if (entry.gone || entry.place !== place) {
      if (restPlace) this.#spool.release(restPlace)
      return
    }
    this.#spool.release(place)
    entry.place = restPlace
    // What had no records before has none to lose.
    const had = entry.lost === undefined && place.recordBytes > 0
    entry.lost = rest.lost
    if (entry.batch) entry.unspoolable = had || entry.unspoolable
    else if (had) this.#host.lose(entry, rest, restPlace)
    else if (!restPlace) entry.batch = rest
  }
}

interface Rest {
  entry: QueuedBatch
  place: Place
  rest: FlowBatch
}

/** A batch that was on the disk, as it is without its records there. */
function restOf(batch: FlowBatch, place: Place, reason: SpoolDropReason): FlowBatch {
  const { recordBytes, packets, bytes } = place
  const lost = recordBytes > 0 ? { records: recordBytes / RECORD_SIZE, packets, bytes, reason } : batch.lost
  return { ...batch, records: NO_RECORDS, lost }
}
