// SPDX-License-Identifier: Apache-2.0
import { RECORD_SIZE } from '@flowdam/proto'
import type { Group } from './group.js'
import type { Losses } from './losses.js'
import type { SpoolOptions } from './options.js'
import { BASE_BEFORE_MS } from './pending.js'
import type { Positions } from './positions.js'
import { OpenSegment, segmentPaths } from './segment.js'
import type { Shelf } from './shelf.js'
import { SIDECAR_VERSION } from './sidecar.js'

/** While the spool is full segments hold no records, only the notes of what was dropped. */
const MAX_SIDECAR_BYTES = 4 << 20

export interface WriterEvents {
  sealed(): void
  syncFailed(error: unknown): void
}

type WriterOptions = Pick<SpoolOptions, 'directory' | 'maxRows' | 'fsync' | 'fsyncIntervalMs' | 'openFile'>

/** The segment that is being written, one after the other. One caller at a time; what failed can be tried again. */
export class SegmentWriter {
  readonly #options: WriterOptions
  readonly #shelf: Shelf
  readonly #events: WriterEvents
  #runId = 0
  #nextNumber = 1
  #positions: Positions | undefined
  #losses: Losses | undefined
  #open: OpenSegment | undefined
  #openedUnixMs = 0
  #openedAt = 0
  #unsynced = false
  #syncTimer: NodeJS.Timeout | undefined

  constructor(options: WriterOptions, shelf: Shelf, events: WriterEvents) {
    this.#options = options
    this.#shelf = shelf
    this.#events = events
  }

  /** `runId`: a random number, this time's; `positions` and `losses` are what is durable, kept up by the spool; each new segment begins with them. */
  start(runId: number, nextNumber: number, positions: Positions, losses: Losses): void {
    this.#runId = runId
    this.#nextNumber = nextNumber
    this.#positions = positions
    this.#losses = losses
    const { fsync, fsyncIntervalMs } = this.#options
    if (fsync === 'interval') this.#syncTimer = setInterval(() => this.#syncNow(), fsyncIntervalMs)
  }

  async stop(): Promise<void> {
    clearInterval(this.#syncTimer)
    await this.#open?.close()
    this.#open = undefined
  }

  /** Of records in the open segment. */
  get bytes(): number {
    return this.#open?.bytes ?? 0
  }

  /** When the open segment was begun; of no meaning while it has no records. */
  get openedUnixMs(): number {
    return this.#openedUnixMs
  }

  /** The same by the monotonic clock. */
  get openedAt(): number {
    return this.#openedAt
  }

  get isFull(): boolean {
    const segment = this.#open
    return (
      segment !== undefined &&
      (segment.rows >= this.#options.maxRows || segment.sidecarBytes >= MAX_SIDECAR_BYTES)
    )
  }

  /** The open segment, a new one if it has no room for a batch of so many bytes. */
  async segmentFor(bytes: number): Promise<OpenSegment> {
    const segment = await this.#current()
    if (segment.bytes === 0 || segment.rows + bytes / RECORD_SIZE <= this.#options.maxRows) return segment
    await this.seal()
    return this.#current()
  }

  async write(segment: OpenSegment, { commit, buffers }: Group): Promise<void> {
    if (commit.batches.length > 0) await segment.commit(commit, buffers, this.#options.fsync === 'always')
    this.#unsynced = true
  }

  /** Gives the open segment to the loader. */
  async seal(): Promise<void> {
    const segment = this.#open
    if (!segment) return
    const sealed = await segment.seal(this.#options.fsync !== 'never')
    this.#open = undefined
    this.#shelf.add(sealed)
    this.#events.sealed()
  }

  async #current(): Promise<OpenSegment> {
    this.#open ??= await this.#begin()
    return this.#open
  }

  async #begin(): Promise<OpenSegment> {
    const { directory, openFile } = this.#options
    const now = Date.now()
    const segment = await OpenSegment.create(
      directory,
      {
        kind: 'header',
        version: SIDECAR_VERSION,
        spool: this.#runId,
        segment: this.#nextNumber,
        baseUnixMs: now - BASE_BEFORE_MS,
        createdUnixMs: now,
        positions: this.#positions?.toJSON() ?? {},
        lost: this.#losses?.toJSON() ?? {},
      },
      openFile,
    )
    this.#nextNumber++
    this.#openedUnixMs = now
    this.#openedAt = performance.now()
    await this.#shelf.setNewestSidecar(segmentPaths(directory, segment.header.segment).sidecar)
    return segment
  }

  #syncNow(): void {
    if (!this.#unsynced || !this.#open) return
    this.#unsynced = false
    this.#open.sync().catch((error: unknown) => {
      // A segment that was sealed meanwhile was synced there.
      if ((error as NodeJS.ErrnoException).code !== 'EBADF') this.#events.syncFailed(error)
    })
  }
}
