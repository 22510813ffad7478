// SPDX-License-Identifier: Apache-2.0
import { randomInt } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { describeError, FlowdamError, type Logger } from '@flowdam/common'
import { type FlowBatch, RECORD_SIZE } from '@flowdam/proto'
import type { AppendResult, BatchOrigin, BatchSink, FlowCounters } from '../contracts.js'
import type { DropCounter } from '../drops.js'
import { lockDirectory } from './lock.js'
import {
  BASE_BEFORE_MS,
  epochLimit,
  newPending,
  type Pending,
  settle,
  sidecarBatch,
  trustedEpochStart,
} from './pending.js'
import { Positions } from './positions.js'
import { aligned } from './rebase.js'
import { recoverSpool } from './recover.js'
import { type OpenFile, OpenSegment, type SealedSegment, segmentPaths, syncDirectory } from './segment.js'
import { SIDECAR_VERSION, type SidecarCommit, type SidecarHeader } from './sidecar.js'

/** When a batch counts as durable: on the disk, in the kernel with a sync every so often, or in the kernel. */
export type FsyncPolicy = 'always' | 'interval' | 'never'

export interface SpoolOptions {
  /** Made if missing. */
  directory: string
  /** All segments together, bytes; at least one batch, however large. */
  maxBytes: number
  /** At maxBytes: hold acknowledges nothing more until there is room, so that agents keep it; drop drops and counts. */
  whenFull: 'hold' | 'drop'
  /** A segment is sealed at this many records … */
  maxRows: number
  /** … or at this age, unless the loader is behind: then it grows, for fewer and larger inserts. */
  maxAgeMs: number
  fsync: FsyncPolicy
  fsyncIntervalMs: number
  /** Records in memory, waiting for the disk, bytes. Beyond it room() is false; beyond twice that they are dropped. */
  queueBytes: number
  drops: DropCounter
  flows: FlowCounters
  log: Logger
  /** For tests: a disk that is slow, full or broken. */
  openFile?: OpenFile
}

export const SPOOL_DEFAULTS = {
  maxBytes: 4e9,
  whenFull: 'hold',
  maxRows: 1_000_000,
  maxAgeMs: 1000,
  fsync: 'always',
  fsyncIntervalMs: 200,
  queueBytes: 256e6,
} as const satisfies Partial<SpoolOptions>

export interface SpoolStatus {
  /** Sealed and open. */
  segments: number
  bytes: number
  maxBytes: number
  /** Records in memory, waiting for the disk, bytes. */
  queuedBytes: number
  /** When the oldest segment was begun, milliseconds since 1970; 0 when all is stored. */
  oldestUnixMs: number
  /** Records in segments. */
  rows: number
  /** degraded: nothing more is acknowledged, agents keep it. failed: records are being dropped. */
  state: 'ok' | 'degraded' | 'failed'
  /** Why nothing is written, while it is so. */
  lastError: string
  /** Writes that the disk refused since start, by errno: ENOSPC, EIO. */
  failures: Readonly<Record<string, number>>
}

const FULL = 'FD_SPOOL_FULL: store.spool.max is reached'
const DROPPING = 'FD_SPOOL_FULL: records are dropped'

/** Bytes of one group commit; keeps a crash's CRC check and a retry small. */
const GROUP_BYTES = 8 << 20
/** A segment grows to at most this many times maxAgeMs while the loader is behind. */
const PATIENCE = 10
/** While the spool is full segments hold no records, only the notes of what was dropped. */
const MAX_SIDECAR_BYTES = 4 << 20
const MAX_QUEUE_ENTRIES = 100_000

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
  #spoolId = 0
  #nextNumber = 1
  #open: OpenSegment | undefined
  #openedAtMs = 0
  readonly #sealed: SealedSegment[] = []
  readonly #taken = new Set<SealedSegment>()
  #sealedBytes = 0
  /** The newest sidecar, which must outlive its segment. */
  #newestSidecar: string | undefined
  #durable = new Positions()
  #accepted = new Positions()
  #queue: Pending[] = []
  #queuedBytes = 0
  /** Entries at the queue's head that are being written, and must stay as they are. */
  #inFlight = 0
  #pumping: Promise<void> | undefined
  #sealDue = false
  #stopping = false
  #lastError = ''
  /** The last batch that came was dropped. */
  #dropping = false
  readonly #failures: Record<string, number> = {}
  #unsynced = false
  #timer: NodeJS.Timeout | undefined
  #syncTimer: NodeJS.Timeout | undefined
  #unlock: (() => void) | undefined
  /** Those who wait for a segment to go, and those who wait for the queue to shrink. */
  #awaitingDisk: (() => void)[] = []
  #awaitingQueue: (() => void)[] = []

  constructor(options: SpoolOptions) {
    this.#options = options
  }

  /** Reads what is there, cuts torn tails. Throws FD_SPOOL_LOCKED, FD_SPOOL_UNREADABLE. */
  async start(): Promise<void> {
    const { directory, log, drops } = this.#options
    await mkdir(directory, { recursive: true })
    this.#unlock = lockDirectory(directory)
    this.#spoolId = await spoolIdentity(directory)
    const recovered = await recoverSpool(directory, this.#deadLetters)
    this.#durable = recovered.positions
    this.#accepted = new Positions()
    this.#accepted.merge(recovered.positions.toJSON())
    this.#nextNumber = recovered.next
    this.#newestSidecar = recovered.newestSidecar
    for (const segment of recovered.segments) this.#addSealed(segment)
    drops.add('spool', 'unreadable_segment', recovered.unreadable.length)
    if (recovered.unreadable.length > 0)
      log.error({ files: recovered.unreadable }, 'segments without a usable sidecar')
    if (recovered.segments.length > 0 || recovered.tornBytes > 0) {
      const rows = recovered.segments.reduce((sum, segment) => sum + segment.rows, 0)
      log.info(
        { segments: recovered.segments.length, rows, tornBytes: recovered.tornBytes },
        'spool recovered',
      )
    }
    this.#stopping = false
    this.#timer = setInterval(() => this.#checkAge(), Math.max(10, Math.min(100, this.#options.maxAgeMs / 4)))
    if (this.#options.fsync === 'interval') {
      this.#syncTimer = setInterval(() => this.#syncNow(), this.#options.fsyncIntervalMs)
    }
  }

  /** Writes what is queued, seals, closes. What was not written is rejected with FD_SPOOL_STOPPED. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    clearInterval(this.#syncTimer)
    this.#stopping = true
    this.#sealDue = true
    this.#wakeAll()
    await this.#pump()
    if (this.#open) await this.#open.close()
    this.#open = undefined
    this.#rejectQueue()
    this.#wakeAll()
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
    const full = whenFull === 'drop' && this.#bytes + this.#queuedBytes + bytes > maxBytes
    const queueFull = this.#queuedBytes + bytes > 2 * queueBytes || this.#queue.length >= MAX_QUEUE_ENTRIES
    const dropped = !echo && (full || queueFull) ? rows : 0
    if (!echo) this.#tellDropping(dropped > 0)
    if (dropped > 0) {
      drops.add('spool', full ? 'full' : 'queue_full', dropped)
      const last = this.#queue.at(-1)
      // A run of dropped batches is one entry, so that a long outage of the disk does not fill the memory.
      const waits = this.#queue.length > this.#inFlight
      if (waits && last && last.dropped > 0 && last.origin === origin && last.boot === boot) {
        last.seq = seq
        last.dropped += dropped
        return last.done
      }
    }
    const pending = newPending({
      origin,
      boot,
      seq,
      epochStartUnixMs: trustedEpochStart(batch.epochStartUnixMs, origin.clockSkewMs, Date.now()),
      limitMs: epochLimit(batch.epochMs),
      records: echo || dropped > 0 ? undefined : aligned(batch.records),
      dropped,
      echo,
    })
    this.#queue.push(pending)
    this.#queuedBytes += pending.records?.length ?? 0
    void this.#pump()
    return pending.done
  }

  /** Bytes of records that may wait here, all agents together. */
  get queueBytes(): number {
    return this.#options.queueBytes
  }

  hasRoom(bytes: number): boolean {
    const { queueBytes } = this.#options
    return this.#queuedBytes + bytes <= queueBytes && this.#queue.length < MAX_QUEUE_ENTRIES / 2
  }

  async room(): Promise<void> {
    while (!this.#stopping && this.#queuedBytes > this.#options.queueBytes / 2) {
      await new Promise<void>((resolve) => this.#awaitingQueue.push(resolve))
    }
  }

  lastSeq(agentId: string, bootId: number): number {
    return this.#durable.get(agentId, bootId)
  }

  /** The oldest sealed segment that nobody has taken, for the loader. */
  take(): SealedSegment | undefined {
    const segment = this.#sealed.find((one) => !this.#taken.has(one))
    if (segment) this.#taken.add(segment)
    return segment
  }

  /** Gives a segment back, untouched. */
  giveBack(segment: SealedSegment): void {
    this.#taken.delete(segment)
  }

  /** The segment is in the database: delete it. */
  async release(segment: SealedSegment): Promise<void> {
    await rm(segment.path, { force: true })
    this.#forget(segment)
    const { sidecar } = segmentPaths(this.#options.directory, segment.number)
    if (sidecar !== this.#newestSidecar) await rm(sidecar, { force: true })
  }

  /** The segment cannot be loaded, ever: keep it aside with the reason. */
  async deadLetter(segment: SealedSegment, reason: string): Promise<string> {
    await mkdir(this.#deadLetters, { recursive: true })
    const target = join(this.#deadLetters, `${segment.id}.seg`)
    const { positions, ...about } = { positions: undefined, ...segment }
    const note = { ...about, key: String(segment.key), agents: [...segment.agents], reason }
    await writeFile(`${target}.json`, `${JSON.stringify(note, undefined, 2)}\n`)
    await rename(segment.path, target)
    await this.release(segment)
    return target
  }

  status(): SpoolStatus {
    const oldest =
      this.#sealed[0]?.createdUnixMs ?? (this.#open && this.#open.bytes > 0 ? this.#openedAtMs : 0)
    return {
      segments: this.#sealed.length + (this.#open && this.#open.bytes > 0 ? 1 : 0),
      bytes: this.#bytes,
      maxBytes: this.#options.maxBytes,
      queuedBytes: this.#queuedBytes,
      oldestUnixMs: oldest,
      rows: this.#bytes / RECORD_SIZE,
      state: this.#dropping ? 'failed' : this.#lastError === '' ? 'ok' : 'degraded',
      lastError: this.#lastError || (this.#dropping ? DROPPING : ''),
      failures: { ...this.#failures },
    }
  }

  /** Tells this spool from others that write to the same database. */
  get id(): number {
    return this.#spoolId
  }

  /** Resolves when everything appended so far is sealed; for tests and for a clean stop of the loader. */
  async flush(): Promise<void> {
    this.#sealDue = true
    await this.#pump()
  }

  get #bytes(): number {
    return this.#sealedBytes + (this.#open?.bytes ?? 0)
  }

  get #deadLetters(): string {
    return join(this.#options.directory, 'dead-letter')
  }

  #checkAge(): void {
    if (!this.#open || this.#open.bytes === 0) return
    const age = Date.now() - this.#openedAtMs
    const behind = this.#sealed.length > 0
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
        if (this.#isHeld()) {
          if (this.#stopping) break
          await this.#diskRoom()
          continue
        }
        if (this.#queue.length > 0) await this.#commitGroup()
        if (this.#open && this.#isSealDue(this.#open)) await this.#seal()
        if (this.#queue.length === 0) this.#sealDue = false
        if (this.#lastError !== '') this.#options.log.info('spool writes again')
        this.#lastError = ''
        backoffMs = 100
      } catch (error) {
        if (this.#lastError === '') {
          this.#options.log.error(
            { error: describeError(error) },
            'spool cannot write; agents keep their batches',
          )
        }
        this.#lastError = describeError(error)
        const code = (error as NodeJS.ErrnoException).code ?? 'other'
        this.#failures[code] = (this.#failures[code] ?? 0) + 1
        if (this.#stopping) break
        await sleep(backoffMs)
        backoffMs = Math.min(backoffMs * 2, 5000)
      }
    }
    // In the same turn as the last look at the queue: what comes from now on starts a new pump.
    this.#pumping = undefined
  }

  /** Whether the next batch must wait for a segment to be loaded and deleted. */
  #isHeld(): boolean {
    const next = this.#queue[0]?.records?.length ?? 0
    return this.#bytes > 0 && next > 0 && this.#bytes + next > this.#options.maxBytes
  }

  /** What is open must be sealed, or it would never be loaded and deleted. */
  async #diskRoom(): Promise<void> {
    if (this.#open && this.#open.bytes > 0) await this.#seal()
    if (!this.#isHeld() || this.#stopping) return
    if (this.#lastError !== FULL)
      this.#options.log.warn('spool full; agents keep their batches until there is room')
    this.#lastError = FULL
    await new Promise<void>((resolve) => this.#awaitingDisk.push(resolve))
  }

  /** Once for each run of drops; the counter has the number. */
  #tellDropping(dropping: boolean): void {
    if (dropping && !this.#dropping) this.#options.log.error(DROPPING)
    if (!dropping && this.#dropping) this.#options.log.info('spool takes records again')
    this.#dropping = dropping
  }

  #wakeAll(): void {
    for (const wake of [...this.#awaitingDisk.splice(0), ...this.#awaitingQueue.splice(0)]) wake()
  }

  #isSealDue(segment: OpenSegment): boolean {
    if (segment.rows >= this.#options.maxRows || segment.sidecarBytes >= MAX_SIDECAR_BYTES) return true
    return this.#sealDue && this.#queue.length === 0 && segment.bytes > 0
  }

  async #commitGroup(): Promise<void> {
    let segment = await this.#current()
    const first = this.#queue[0]?.records?.length ?? 0
    if (segment.bytes > 0 && segment.rows + first / RECORD_SIZE > this.#options.maxRows) {
      await this.#seal()
      segment = await this.#current()
    }
    const base = segment.header.baseUnixMs
    const { maxRows, maxBytes } = this.#options
    const room = Math.min(maxRows * RECORD_SIZE - segment.bytes, maxBytes - this.#bytes)
    const commit: SidecarCommit = {
      kind: 'commit',
      offset: segment.bytes,
      bytes: 0,
      crc: 0,
      minMs: 0xffffffff,
      maxMs: 0,
      batches: [],
    }
    const buffers: Uint8Array[] = []
    let count = 0
    for (const pending of this.#queue) {
      const size = pending.records?.length ?? 0
      if (count > 0 && (commit.bytes + size > GROUP_BYTES || commit.bytes + size > room)) break
      count++
      if (pending.echo) continue
      commit.batches.push(sidecarBatch(pending))
      if (!pending.records || size === 0) continue
      settle(pending, base)
      commit.crc = crc32(pending.records, commit.crc)
      commit.bytes += size
      commit.minMs = Math.min(commit.minMs, pending.minMs)
      commit.maxMs = Math.max(commit.maxMs, pending.maxMs)
      buffers.push(pending.records)
    }
    this.#inFlight = count
    const began = performance.now()
    try {
      if (commit.batches.length > 0) await segment.commit(commit, buffers, this.#options.fsync === 'always')
    } finally {
      this.#inFlight = 0
    }
    this.#unsynced = true
    const written = this.#queue.splice(0, count)
    this.#queuedBytes -= commit.bytes
    if (commit.batches.length > 0) this.onCommit?.(commit.bytes, performance.now() - began)
    for (const wake of this.#awaitingQueue.splice(0)) wake()
    this.#options.flows.spooled += commit.bytes / RECORD_SIZE
    for (const pending of written) {
      if (!pending.echo) this.#durable.set(pending.origin.id, pending.boot, pending.seq)
      pending.resolve(pending.echo ? 'duplicate' : pending.dropped > 0 ? 'dropped' : 'stored')
    }
  }

  async #current(): Promise<OpenSegment> {
    this.#open ??= await this.#openSegment()
    return this.#open
  }

  async #openSegment(): Promise<OpenSegment> {
    const now = Date.now()
    const { directory } = this.#options
    const header: SidecarHeader = {
      kind: 'header',
      version: SIDECAR_VERSION,
      spool: this.#spoolId,
      segment: this.#nextNumber,
      baseUnixMs: now - BASE_BEFORE_MS,
      createdUnixMs: now,
      positions: this.#durable.toJSON(),
    }
    const segment = await OpenSegment.create(directory, header, this.#options.openFile)
    this.#nextNumber++
    this.#openedAtMs = now
    const before = this.#newestSidecar
    this.#newestSidecar = segmentPaths(directory, segment.header.segment).sidecar
    if (before && !this.#sealed.some((one) => segmentPaths(directory, one.number).sidecar === before)) {
      await rm(before, { force: true })
    }
    return segment
  }

  async #seal(): Promise<void> {
    const segment = this.#open
    if (!segment) return
    const sealed = await segment.seal(this.#options.fsync !== 'never')
    this.#open = undefined
    this.#addSealed(sealed)
    this.onSealed?.()
  }

  #addSealed(segment: SealedSegment): void {
    this.#sealed.push(segment)
    this.#sealedBytes += segment.bytes
  }

  #forget(segment: SealedSegment): void {
    const at = this.#sealed.indexOf(segment)
    if (at < 0) return
    this.#sealed.splice(at, 1)
    this.#taken.delete(segment)
    this.#sealedBytes -= segment.bytes
    for (const wake of this.#awaitingDisk.splice(0)) wake()
  }

  #syncNow(): void {
    if (!this.#unsynced || !this.#open) return
    this.#unsynced = false
    this.#open.sync().catch((error: unknown) => {
      // A segment that was sealed meanwhile was synced there.
      if ((error as NodeJS.ErrnoException).code !== 'EBADF') this.#lastError = describeError(error)
    })
  }

  #rejectQueue(): void {
    for (const pending of this.#queue) pending.reject(stopped())
    this.#queue = []
    this.#queuedBytes = 0
  }
}

function stopped(): FlowdamError {
  return new FlowdamError('FD_SPOOL_STOPPED', 'the aggregator is stopping; the agent sends the batch again')
}

/** A random number made with the folder. A folder that was deleted and made again is another spool. */
async function spoolIdentity(directory: string): Promise<number> {
  const path = join(directory, 'spool.json')
  try {
    return (JSON.parse(await readFile(path, 'utf8')) as { id: number }).id
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new FlowdamError('FD_SPOOL_UNREADABLE', `${path} cannot be read`, {
        cause,
        remedy: `move ${basename(directory)} away if its flows may be lost, or restore the file`,
      })
    }
  }
  const id = randomInt(1, 2 ** 31)
  await writeFile(`${path}.new`, JSON.stringify({ id, version: SIDECAR_VERSION }), { flush: true })
  await rename(`${path}.new`, path)
  await syncDirectory(directory)
  return id
}
