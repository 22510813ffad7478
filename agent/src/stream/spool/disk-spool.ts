// SPDX-License-Identifier: Apache-2.0
import { closeSync, fstatSync, ftruncateSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { describeError, FlowdamError, lockFolder, syncFolder, writeAll } from '@flowdam/common'
import type { FlowBatch } from '@flowdam/proto'
import { type Damage, joined, namesBetween, noSums, salvageSums } from './damage.js'
import {
  decodeFrame,
  decodeMeta,
  encodeFrame,
  type Found,
  FRAME_HEADER,
  type FrameSpan,
  frameBytes,
  scanFrames,
} from './frame.js'

/** A segment is given up as a whole when the spool is full, so it is a small part of it. */
const SEGMENTS = 16
const LEAST_SEGMENT = 16 << 10
const MOST_SEGMENT = 64 << 20

export interface DiskSpoolOptions {
  /** Made if missing. */
  folder: string
  /** All segments together, bytes. */
  maxBytes: number
  /** For tests: how a segment is made. */
  create?: (path: string) => Promise<FileHandle>
}

interface Segment {
  readonly number: number
  readonly path: string
  bytes: number
  /** Batches in it that somebody still needs. */
  live: number
  /** Of these, those with records. */
  detailed: number
}

/** A batch on the disk. */
export interface Place extends FrameSpan {
  readonly segment: Segment
}

export interface FoundBatch {
  /** Without records and ledgers. */
  batch: FlowBatch
  place: Place
}

/** Append-only segment files of batches; a file goes when none of its batches is needed. Writes are not concurrent. */
export class DiskSpool {
  /** Bytes cut off at the start: written in part when the process or the machine died. */
  tornBytes = 0
  /** What the start found that is no batch any more. */
  readonly damages: Damage[] = []
  readonly #options: DiskSpoolOptions
  readonly #segments = new Map<number, Segment>()
  #next = 1
  #current: { segment: Segment; file: FileHandle } | undefined
  #writing = false
  #unlock: (() => void) | undefined

  constructor(options: DiskSpoolOptions) {
    this.#options = options
  }

  get bytes(): number {
    let sum = 0
    for (const { bytes } of this.#segments.values()) sum += bytes
    return sum
  }
  get maxBytes(): number {
    return this.#options.maxBytes
  }
  get segments(): number {
    return this.#segments.size
  }

  /** What an earlier process left, in the order of boots and seqs. FD_SPOOL_LOCKED, FD_SPOOL_UNUSABLE. */
  start(): FoundBatch[] {
    const { folder } = this.#options
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      this.#unlock = lockFolder(folder, 'stop that process, or give this one another id or spool.path')
      return this.#recover()
    } catch (cause) {
      if (FlowdamError.is(cause)) throw cause
      throw new FlowdamError('FD_SPOOL_UNUSABLE', `the spool ${folder} cannot be used`, { cause })
    }
  }

  async stop(): Promise<void> {
    await this.#closeCurrent()
    this.#unlock?.()
    this.#unlock = undefined
  }

  /** Appends and syncs. When it fails nothing of it counts, and the next write begins a new segment. */
  async write(batches: readonly FlowBatch[]): Promise<Place[]> {
    this.#writing = true
    try {
      return await this.#append(batches)
    } finally {
      this.#writing = false
    }
  }

  async #append(batches: readonly FlowBatch[]): Promise<Place[]> {
    const { segment, file } = await this.#open()
    const places: Place[] = []
    const buffers: Uint8Array[] = []
    let offset = segment.bytes
    for (const batch of batches) {
      const frame = encodeFrame(batch)
      const { metaBytes, sums } = frame
      const place = { segment, offset, metaBytes, recordBytes: batch.records.length, ...sums }
      buffers.push(...frame.buffers)
      places.push(place)
      offset += frameBytes(place)
    }
    try {
      await writeAll(file, buffers, segment.bytes)
      await file.datasync()
    } catch (error) {
      await file.truncate(segment.bytes).catch(() => undefined)
      await this.#closeCurrent()
      throw error
    }
    segment.bytes = offset
    for (const place of places) count(place, 1)
    if (segment.bytes >= this.#segmentBytes) await this.#closeCurrent()
    return places
  }

  /** FD_SPOOL_DAMAGED. */
  async read(place: Place): Promise<FlowBatch> {
    return checked(place, decodeFrame(await this.#bytesOf(place, frameBytes(place))))
  }

  /** The batch without its records. FD_SPOOL_DAMAGED. */
  async readMeta(place: Place): Promise<FlowBatch> {
    return checked(place, decodeMeta(await this.#bytesOf(place, FRAME_HEADER + place.metaBytes)))
  }

  /** The batch is not needed any more. */
  release(place: Place): void {
    const { segment } = place
    count(place, -1)
    if (segment.live > 0) return
    if (segment !== this.#current?.segment) this.#remove(segment)
    else if (!this.#writing) void this.#closeCurrent()
  }

  /** The segment whose records go when there is no room, undefined when there is none. */
  oldest(): Segment | undefined {
    for (const segment of this.#segments.values()) if (segment.detailed > 0) return segment
    return undefined
  }

  /** Nothing more is written to this segment. */
  async leave(segment: Segment): Promise<void> {
    if (segment === this.#current?.segment) await this.#closeCurrent()
  }

  /** The next write begins a new segment. */
  async #closeCurrent(): Promise<void> {
    const current = this.#current
    this.#current = undefined
    if (!current) return
    // At once, for a killed process would leave it to the next.
    if (current.segment.live === 0) this.#remove(current.segment)
    await current.file.close().catch(() => undefined)
  }

  async #open() {
    if (this.#current) return this.#current
    const segment = this.#segment(this.#next++)
    const create = this.#options.create ?? ((path: string) => open(path, 'wx', 0o600))
    try {
      const file = await create(segment.path)
      this.#current = { segment, file }
      await syncFolder(this.#options.folder)
      return this.#current
    } catch (error) {
      this.#segments.delete(segment.number)
      throw error
    }
  }

  #segment(number: number): Segment {
    const name = `${String(number).padStart(10, '0')}.seg`
    const segment = { number, path: join(this.#options.folder, name), bytes: 0, live: 0, detailed: 0 }
    this.#segments.set(number, segment)
    return segment
  }

  #remove(segment: Segment): void {
    this.#segments.delete(segment.number)
    rmSync(segment.path, { force: true })
  }

  get #segmentBytes(): number {
    return Math.min(MOST_SEGMENT, Math.max(LEAST_SEGMENT, this.#options.maxBytes / SEGMENTS))
  }

  async #bytesOf(place: Place, bytes: number): Promise<Buffer> {
    const file = await open(place.segment.path, 'r')
    try {
      const buffer = Buffer.allocUnsafeSlow(bytes)
      const { bytesRead } = await file.read(buffer, 0, bytes, place.offset)
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  }

  #recover(): FoundBatch[] {
    this.damages.length = 0
    const found = new Map<string, FoundBatch>()
    let before: FlowBatch | undefined
    /** Whose names the next frame will say. */
    let unnamed: Damage[] = []
    for (const segment of this.#existing()) {
      for (const one of this.#tryScan(segment)) {
        if (Buffer.isBuffer(one)) {
          unnamed.push({ where: segment.path, sums: salvageSums(one), names: [], content: one })
          continue
        }
        const { batch, ...span } = one
        this.damages.push(...joined(unnamed, namesBetween(before, batch)))
        unnamed = []
        before = batch
        const earlier = found.get(nameOf(batch))
        if (earlier) count(earlier.place, -1)
        const place = { segment, ...span }
        count(place, 1)
        found.set(nameOf(batch), { batch, place })
      }
    }
    this.damages.push(...joined(unnamed, []))
    // What was written again later is not missing.
    for (const damage of this.damages) damage.names = damage.names.filter((name) => !found.has(nameOf(name)))
    for (const segment of [...this.#segments.values()]) if (segment.live === 0) this.#remove(segment)
    return [...found.values()].sort((a, b) => a.batch.bootId - b.batch.bootId || a.batch.seq - b.batch.seq)
  }

  #existing(): Segment[] {
    const numbers = readdirSync(this.#options.folder)
      .map((name) => Number(/^(\d{10})\.seg$/.exec(name)?.[1] ?? 0))
      .filter((number) => number > 0)
      .sort((a, b) => a - b)
    this.#next = (numbers.at(-1) ?? 0) + 1
    return numbers.map((number) => this.#segment(number))
  }

  /** A file that cannot be read is left as it is; the others are not worse for it. */
  #tryScan(segment: Segment): Found[] {
    try {
      return this.#scan(segment)
    } catch (error) {
      this.#segments.delete(segment.number)
      const where = `${segment.path} (${describeError(error)})`
      this.damages.push({ where, sums: noSums(), names: [], content: Buffer.alloc(0) })
      return []
    }
  }

  #scan(segment: Segment): Found[] {
    const fd = openSync(segment.path, 'r+')
    try {
      const { size } = fstatSync(fd)
      const { found, validBytes } = scanFrames(fd, size)
      if (validBytes < size) ftruncateSync(fd, validBytes)
      this.tornBytes += size - validBytes
      segment.bytes = validBytes
      return found
    } finally {
      closeSync(fd)
    }
  }
}

function nameOf({ bootId, seq }: { bootId: number; seq: number }): string {
  return `${bootId}/${seq}`
}

function count({ segment, recordBytes }: Place, by: 1 | -1): void {
  segment.live += by
  if (recordBytes > 0) segment.detailed += by
}

function checked(place: Place, batch: FlowBatch | undefined): FlowBatch {
  if (batch) return batch
  throw new FlowdamError('FD_SPOOL_DAMAGED', `${place.segment.path} is damaged at ${place.offset}`)
}
