// SPDX-License-Identifier: Apache-2.0
import { randomInt } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { FlowdamError, lockFolder } from '@flowdam/common'
import { type FlowBatch, RECORD_SIZE, sumRecords } from '@flowdam/proto'
import type { AppendResult, BatchOrigin, BatchSink } from '../contracts.js'
import { spaceOf } from '../disk/space.js'
import { DiskWatch } from '../disk/watch.js'
import { SpoolCondition } from './condition.js'
import { gatherGroup } from './group.js'
import { spoolIdentity } from './identity.js'
import { Losses } from './losses.js'
import type { SpoolOptions, SpoolStatus } from './options.js'
import { epochLimit, newPending, trustedEpochStart } from './pending.js'
import { Positions } from './positions.js'
import { BatchQueue } from './queue.js'
import { aligned } from './rebase.js'
import { type Recovered, recoverSpool } from './recover.js'
import type { SealedSegment } from './segment.js'
import { Shelf } from './shelf.js'
import { SegmentWriter } from './writer.js'

/** A segment grows to at most this many times maxAgeMs while the loader is behind. */
const PATIENCE = 10
const MAX_QUEUE_ENTRIES = 100_000
const LOOK_AT_DISK_MS = 250

/**
 * The durable queue between ingest and the database: agents' batches into segment files, one group commit for all
 * that came during the last. A batch's promise resolves when it is durable. The loader takes sealed segments from
 * the other end.
 */
export class Spool implements BatchSink {
  /** Called when a segment is sealed. */
  onSealed: (() => void) | undefined
  /** Called after each group commit with the time it took, sync included; must not throw. */
  onCommit: ((bytes: number, ms: number) => void) | undefined
  readonly #options: SpoolOptions
  readonly #queue = new BatchQueue()
  readonly #shelf: Shelf
  readonly #writer: SegmentWriter
  readonly #condition: SpoolCondition
  readonly #disk: DiskWatch
  #spoolId = 0
  #durable = new Positions()
  #accepted = new Positions()
  #losses = new Losses()
  #pumping: Promise<void> | undefined
  #sealDue = false
  #stopping = false
  #timer: NodeJS.Timeout | undefined
  #unlock: (() => void) | undefined
  /** Those who wait for a segment to go. */
  readonly #awaitingDisk: (() => void)[] = []

  constructor(options: SpoolOptions) {
    this.#options = options
    this.#condition = new SpoolCondition(options.log)
    this.#disk = new DiskWatch({
      look: options.space ?? (() => spaceOf(options.directory)),
      reserve: options.reserve ?? (() => 0),
      everyMs: LOOK_AT_DISK_MS,
      onState: () => this.#wakeDisk(),
    })
    this.#shelf = new Shelf(options.directory, options.deadLetterBytes, () => this.#wakeDisk())
    this.#writer = new SegmentWriter(options, this.#shelf, {
      sealed: () => this.onSealed?.(),
      syncFailed: (error) => this.#condition.refused(error),
    })
  }

  /** Reads what is there, cuts torn tails. Throws FD_SPOOL_LOCKED, FD_SPOOL_UNREADABLE. */
  async start(): Promise<void> {
    const { directory, maxAgeMs } = this.#options
    await mkdir(directory, { recursive: true })
    this.#unlock = lockFolder(directory, 'stop that process, or give this one a store.path of its own')
    this.#spoolId = await spoolIdentity(directory)
    const recovered = await recoverSpool(directory, this.#shelf.deadLetters)
    this.#durable = recovered.positions
    this.#losses = recovered.losses
    this.#accepted = new Positions()
    this.#accepted.merge(recovered.positions.toJSON())
    await this.#shelf.setNewestSidecar(recovered.newestSidecar)
    await this.#shelf.measureDeadLetters()
    for (const segment of recovered.segments) this.#shelf.add(segment)
    this.#tellRecovered(recovered)
    this.#stopping = false
    await this.#disk.start()
    // Not the folder's: one that came back from a backup would use numbers again, and the database would take what is
    // new for something that it has.
    this.#writer.start(randomInt(1, 2 ** 31), recovered.next, this.#durable, this.#losses)
    this.#timer = setInterval(() => this.#checkAge(), Math.max(10, Math.min(100, maxAgeMs / 4)))
  }

  /** Writes what is queued, seals, closes. What was not written is rejected with FD_SPOOL_STOPPED. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#stopping = true
    this.#sealDue = true
    this.#wakeDisk()
    this.#queue.wake()
    await this.#pump()
    await this.#disk.stop()
    await this.#writer.stop()
    this.#queue.rejectAll(stopped())
    this.#wakeDisk()
    this.#queue.wake()
    this.#unlock?.()
    this.#unlock = undefined
  }

  append(origin: BatchOrigin, batch: FlowBatch): Promise<AppendResult> {
    const { drops, flows, maxBytes, queueBytes, whenFull } = this.#options
    if (this.#stopping) return Promise.reject(stopped())
    const { bootId: boot, seq } = batch
    const rows = batch.records.length / RECORD_SIZE
    flows.received += rows
    const echo = seq <= this.#accepted.get(origin.id, boot)
    if (echo) {
      flows.duplicate += rows
      if (seq <= this.#durable.get(origin.id, boot)) return Promise.resolve('duplicate')
    } else {
      this.#accepted.set(origin.id, boot, seq)
    }
    const bytes = echo ? 0 : batch.records.length
    const noRoom = this.#bytes + this.#queue.bytes + bytes > maxBytes || this.#isDiskLow
    const full = whenFull === 'drop' && noRoom
    const queueFull = this.#queue.bytes + bytes > 2 * queueBytes || this.#queue.length >= MAX_QUEUE_ENTRIES
    const dropped = !echo && (full || queueFull) ? rows : 0
    if (!echo) this.#condition.took(dropped > 0)
    const losses = !echo && (dropped > 0 || batch.lost) ? new Losses() : undefined
    if (batch.lost) losses?.add('agent', batch.lost.reason, batch.lost)
    if (dropped > 0 && losses) {
      const reason = full ? 'full' : 'queue_full'
      drops.add('spool', reason, dropped)
      losses.add('spool', reason, sumRecords(batch.records))
      const joined = this.#queue.joinDropped(origin, boot, seq, dropped, losses)
      if (joined) return joined
    }
    const pending = newPending({
      origin,
      boot,
      seq,
      epochStartUnixMs: trustedEpochStart(batch.epochStartUnixMs, origin.clockSkewMs, Date.now()),
      limitMs: epochLimit(batch.epochMs),
      records: echo || dropped > 0 ? undefined : aligned(batch.records),
      dropped,
      losses,
      echo,
    })
    this.#queue.push(pending)
    void this.#pump()
    return pending.done
  }

  /** Bytes of records that may wait here, all agents together. */
  get queueBytes(): number {
    return this.#options.queueBytes
  }

  hasRoom(bytes: number): boolean {
    const { queueBytes } = this.#options
    return this.#queue.bytes + bytes <= queueBytes && this.#queue.length < MAX_QUEUE_ENTRIES / 2
  }

  async room(): Promise<void> {
    while (!this.#stopping && this.#queue.bytes > this.#options.queueBytes / 2) await this.#queue.changed()
  }

  lastSeq(agentId: string, bootId: number): number {
    return this.#durable.get(agentId, bootId)
  }

  /** The oldest sealed segment that nobody has taken, for the loader. */
  take(): SealedSegment | undefined {
    return this.#shelf.take()
  }

  /** Gives a segment back, untouched. */
  giveBack(segment: SealedSegment): void {
    this.#shelf.giveBack(segment)
  }

  /** The segment is in the database: delete it. */
  release(segment: SealedSegment): Promise<void> {
    return this.#shelf.release(segment)
  }

  /** The segment cannot be loaded, ever: keep it aside with the reason. FD_STORE_DEAD_LETTERS when there is no room for it. */
  deadLetter(segment: SealedSegment, reason: string): Promise<string> {
    return this.#shelf.deadLetter(segment, reason)
  }

  status(): SpoolStatus {
    const open = this.#writer.bytes > 0
    return {
      segments: this.#shelf.count + (open ? 1 : 0),
      bytes: this.#bytes,
      maxBytes: this.#options.maxBytes,
      deadLetterBytes: this.#shelf.deadLetterBytes,
      diskFreeBytes: this.#disk.freeBytes,
      diskReserveBytes: this.#disk.reserveBytes,
      queuedBytes: this.#queue.bytes,
      oldestUnixMs: this.#shelf.oldest?.createdUnixMs ?? (open ? this.#writer.openedUnixMs : 0),
      rows: this.#bytes / RECORD_SIZE,
      ...this.#condition.status,
    }
  }

  /** Tells this spool from others that write to the same database. */
  get id(): number {
    return this.#spoolId
  }

  /** Flow detail that was given up, since the spool's folder was made; exact whatever was killed. */
  get losses(): Losses {
    return this.#losses
  }

  /** Resolves when everything appended so far is sealed; for tests and for a clean stop of the loader. */
  async flush(): Promise<void> {
    this.#sealDue = true
    await this.#pump()
  }

  get #bytes(): number {
    return this.#shelf.bytes + this.#writer.bytes
  }

  #checkAge(): void {
    if (this.#writer.bytes === 0) return
    const age = performance.now() - this.#writer.openedAt
    const behind = this.#shelf.count > 0
    if (age >= this.#options.maxAgeMs * (behind ? PATIENCE : 1)) {
      this.#sealDue = true
      void this.#pump()
    }
  }

  /** One at a time; what comes while it runs is its next group. */
  #pump(): Promise<void> {
    this.#pumping ??= this.#drain()
    return this.#pumping
  }

  async #drain(): Promise<void> {
    let backoffMs = 100
    // A turn later, when #pumping is set: the end of this function takes it away again.
    await Promise.resolve()
    while (this.#queue.length > 0 || this.#sealDue) {
      try {
        // Looked at anew before each group, not now and then: no group takes what is kept free.
        await this.#disk.look()
        if (this.#isHeld()) {
          if (this.#stopping) break
          await this.#diskRoom()
          continue
        }
        if (this.#queue.length > 0) await this.#commitGroup()
        if (this.#isSealDue()) await this.#writer.seal()
        if (this.#queue.length === 0) this.#sealDue = false
        this.#condition.wrote()
        backoffMs = 100
      } catch (error) {
        this.#condition.refused(error)
        if (this.#stopping) break
        await sleep(backoffMs)
        backoffMs = Math.min(backoffMs * 2, 5000)
      }
    }
    // In the same turn as the last look at the queue: what comes from now on starts a new pump.
    this.#pumping = undefined
  }

  get #isDiskLow(): boolean {
    return this.#disk.state !== 'ok'
  }

  /** Whether the next batch must wait for a segment to be loaded and deleted, or for room on the disk. */
  #isHeld(): boolean {
    const next = this.#queue.firstBytes
    // What had come before the disk was low is not dropped any more.
    if (next > 0 && this.#isDiskLow && this.#options.whenFull === 'hold') return true
    return this.#bytes > 0 && next > 0 && this.#bytes + next > this.#options.maxBytes
  }

  /** What is open must be sealed, or it would never be loaded and deleted. */
  async #diskRoom(): Promise<void> {
    if (this.#writer.bytes > 0) await this.#writer.seal()
    if (!this.#isHeld() || this.#stopping) return
    this.#condition.full(this.#isDiskLow)
    await new Promise<void>((resolve) => this.#awaitingDisk.push(resolve))
  }

  #tellRecovered({ segments, tornBytes, unreadable }: Recovered): void {
    const { drops, log } = this.#options
    drops.add('spool', 'unreadable_segment', unreadable.length)
    if (unreadable.length > 0) log.error({ files: unreadable }, 'segments without a usable sidecar')
    if (segments.length === 0 && tornBytes === 0) return
    const rows = segments.reduce((sum, segment) => sum + segment.rows, 0)
    log.info({ segments: segments.length, rows, tornBytes }, 'spool recovered')
  }

  #wakeDisk(): void {
    for (const wake of this.#awaitingDisk.splice(0)) wake()
  }

  #isSealDue(): boolean {
    return this.#writer.isFull || (this.#sealDue && this.#queue.length === 0 && this.#writer.bytes > 0)
  }

  async #commitGroup(): Promise<void> {
    const { maxRows, maxBytes, flows } = this.#options
    const segment = await this.#writer.segmentFor(this.#queue.firstBytes)
    const room = Math.min(maxRows * RECORD_SIZE - segment.bytes, maxBytes - this.#bytes)
    const place = { baseUnixMs: segment.header.baseUnixMs, offset: segment.bytes }
    const group = gatherGroup(this.#queue.entries, place, room)
    const { bytes, batches } = group.commit
    this.#queue.hold(group.count)
    const began = performance.now()
    try {
      await this.#options.beforeCommit?.()
      await this.#writer.write(segment, group)
    } finally {
      this.#queue.hold(0)
    }
    const written = this.#queue.remove(group.count)
    if (batches.length > 0) this.onCommit?.(bytes, performance.now() - began)
    flows.spooled += bytes / RECORD_SIZE
    this.#losses.merge(group.commit.lost)
    for (const pending of written) {
      if (!pending.echo) this.#durable.set(pending.origin.id, pending.boot, pending.seq)
      pending.resolve(pending.echo ? 'duplicate' : pending.dropped > 0 ? 'dropped' : 'stored')
    }
  }
}

function stopped(): FlowdamError {
  return new FlowdamError('FD_SPOOL_STOPPED', 'the aggregator is stopping; the agent sends the batch again')
}
