// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFolder, writeAll } from '@flowdam/common'
import { RECORD_SIZE } from '@flowdam/proto'
import { encodeEntry, type SidecarCommit, type SidecarHeader } from './sidecar.js'

const DAY_MS = 86_400_000

/** open(2) for writing. */
export type OpenFile = (path: string, flags: 'w') => Promise<FileHandle>

/** A finished segment on disk, as the loader needs to know it. */
export interface SealedSegment {
  readonly number: number
  /** `spool-segment`, unique among all that ever wrote to one database; the deduplication token's stem. */
  readonly id: string
  /** The same as a number, for the column `segment`: spool * 2^32 + segment. */
  readonly key: bigint
  readonly path: string
  readonly rows: number
  readonly bytes: number
  readonly baseUnixMs: number
  readonly createdUnixMs: number
  /** Time of the first and of the last record, milliseconds since 1970. */
  readonly minUnixMs: number
  readonly maxUnixMs: number
  /** Start of each UTC day that the records may fall into. */
  readonly days: readonly number[]
  readonly agents: ReadonlySet<string>
  /** From before this process: an insert of it may have happened already. */
  readonly recovered: boolean
}

export function segmentPaths(directory: string, number: number): { data: string; sidecar: string } {
  const stem = join(directory, String(number).padStart(10, '0'))
  return { data: `${stem}.seg`, sidecar: `${stem}.idx` }
}

export function segmentId(spool: number, number: number): { id: string; key: bigint } {
  return {
    id: `${spool.toString(16).padStart(8, '0')}-${number}`,
    key: (BigInt(spool) << 32n) | BigInt(number),
  }
}

/** Collects what a segment holds, for a live segment and for one read from disk alike. */
export class SegmentContent {
  readonly agents = new Set<string>()
  readonly #days = new Set<number>()
  readonly #baseUnixMs: number
  minMs = 0xffffffff
  maxMs = 0

  constructor(baseUnixMs: number) {
    this.#baseUnixMs = baseUnixMs
  }

  add(commit: SidecarCommit): void {
    for (const [agent, , , records] of commit.batches) if (records > 0) this.agents.add(agent)
    if (commit.bytes === 0) return
    this.minMs = Math.min(this.minMs, commit.minMs)
    this.maxMs = Math.max(this.maxMs, commit.maxMs)
    const last = Math.floor((this.#baseUnixMs + commit.maxMs) / DAY_MS)
    for (let day = Math.floor((this.#baseUnixMs + commit.minMs) / DAY_MS); day <= last; day++) {
      this.#days.add(day * DAY_MS)
    }
  }

  sealed(header: SidecarHeader, path: string, bytes: number, recovered: boolean): SealedSegment {
    return {
      number: header.segment,
      ...segmentId(header.spool, header.segment),
      path,
      rows: bytes / RECORD_SIZE,
      bytes,
      baseUnixMs: header.baseUnixMs,
      createdUnixMs: header.createdUnixMs,
      minUnixMs: header.baseUnixMs + this.minMs,
      maxUnixMs: header.baseUnixMs + this.maxMs,
      days: [...this.#days].sort((a, b) => a - b),
      agents: this.agents,
      recovered,
    }
  }
}

/** The segment being written. One caller at a time; every method but create() may be tried again after it failed. */
export class OpenSegment {
  readonly header: SidecarHeader
  readonly path: string
  readonly content: SegmentContent
  /** Bytes of records that are committed. */
  bytes = 0
  readonly #data: FileHandle
  readonly #sidecar: FileHandle
  #sidecarBytes = 0
  /** A commit failed half way; what it left must be cut before the next. */
  #torn = false

  private constructor(header: SidecarHeader, path: string, data: FileHandle, sidecar: FileHandle) {
    this.header = header
    this.path = path
    this.content = new SegmentContent(header.baseUnixMs)
    this.#data = data
    this.#sidecar = sidecar
  }

  /** Makes both files; the header is on disk when this resolves, whatever the fsync policy is. */
  static async create(
    directory: string,
    header: SidecarHeader,
    openFile: OpenFile = open,
  ): Promise<OpenSegment> {
    const paths = segmentPaths(directory, header.segment)
    const sidecar = await openFile(paths.sidecar, 'w')
    let data: FileHandle | undefined
    try {
      data = await openFile(paths.data, 'w')
      const segment = new OpenSegment(header, paths.data, data, sidecar)
      await segment.#appendEntry(encodeEntry(header))
      await sidecar.datasync()
      await syncFolder(directory)
      return segment
    } catch (error) {
      await sidecar.close()
      await data?.close()
      throw error
    }
  }

  get sidecarBytes(): number {
    return this.#sidecarBytes
  }

  get rows(): number {
    return this.bytes / RECORD_SIZE
  }

  /** Writes one group: the records, then the line that makes them count. After a failure nothing of it counts. */
  async commit(commit: SidecarCommit, buffers: readonly Uint8Array[], sync: boolean): Promise<void> {
    if (this.#torn) await this.#cut()
    this.#torn = true
    if (commit.bytes > 0) await writeAll(this.#data, buffers, commit.offset)
    const before = this.#sidecarBytes
    await this.#appendEntry(encodeEntry(commit))
    try {
      if (sync) await this.sync()
    } catch (error) {
      this.#sidecarBytes = before
      throw error
    }
    this.#torn = false
    this.bytes = commit.offset + commit.bytes
    this.content.add(commit)
  }

  async sync(): Promise<void> {
    await Promise.all([this.#data.datasync(), this.#sidecar.datasync()])
  }

  /** Ends the segment. */
  async seal(sync: boolean): Promise<SealedSegment> {
    if (this.#torn) await this.#cut()
    const before = this.#sidecarBytes
    this.#torn = true
    try {
      await this.#appendEntry(encodeEntry({ kind: 'seal', bytes: this.bytes }))
      if (sync) await this.sync()
    } catch (error) {
      // Else a commit could follow the seal, where no reader looks for it.
      this.#sidecarBytes = before
      throw error
    }
    this.#torn = false
    await this.close()
    return this.content.sealed(this.header, this.path, this.bytes, false)
  }

  async close(): Promise<void> {
    await this.#data.close()
    await this.#sidecar.close()
  }

  async #appendEntry(line: string): Promise<void> {
    const buffer = Buffer.from(line)
    await writeAll(this.#sidecar, [buffer], this.#sidecarBytes)
    this.#sidecarBytes += buffer.length
  }

  /** Takes away what a failed commit left behind. */
  async #cut(): Promise<void> {
    await this.#data.truncate(this.bytes)
    await this.#sidecar.truncate(this.#sidecarBytes)
    this.#torn = false
  }
}
