// SPDX-License-Identifier: Apache-2.0
import { describeError, FlowdamError, type Logger } from '@flowdam/common'
import type { FlowCounters } from '../contracts.js'
import type { DropCounter } from '../drops.js'
import type { SourceRegistry } from '../sources/registry.js'
import type { SealedSegment } from '../spool/segment.js'
import type { Spool } from '../spool/spool.js'
import { type Outcome, pause, pauseMs, Restraint } from './backoff.js'
import { type FailureKind, StoreFailure } from './engine.js'
import type { Target } from './target.js'

/** The loader's end of the spool. */
export type SegmentQueue = Pick<Spool, 'take' | 'giveBack' | 'release' | 'deadLetter' | 'onSealed'>

export interface LoaderOptions {
  target: Target
  spool: SegmentQueue
  sources: SourceRegistry
  drops: DropCounter
  flows: FlowCounters
  log: Logger
  /** Inserts at a time. */
  loaders: number
  /** Resolves when the database's disk has room, or `signal` is aborted. */
  room?: (signal: AbortSignal) => Promise<void>
  /** Called when a segment is in the database and before it is deleted; may come again for the same one. */
  beforeRelease?: (segment: SealedSegment) => Promise<void>
  /** Called after each stored segment; must not throw. */
  onStored?: (rows: number, ms: number) => void
  /** For tests. Milliseconds, monotonic. */
  clock?: () => number
}

export interface LoaderStatus {
  rowsStored: number
  rowsPerSecond: number
  /** Median of the last inserts, milliseconds. */
  insertMs: number
  retries: Record<FailureKind, number>
  /** Why the current segment does not load; empty when it does. */
  lastError: string
  /** Set while nothing can load until somebody acts. */
  failed: boolean
}

const RATE_WINDOW_MS = 10_000
/** A segment that neither loads nor is refused for so many verified attempts is set aside for people. */
const MAX_VERIFICATIONS = 5
/** A body that something on its way cuts off looks like bad data to a server: only what says so again is set aside. */
const MAX_REFUSALS = 3

/** Brings sealed segments into the database, each exactly once, and deletes them when they are there. */
export class Loader {
  readonly #options: LoaderOptions
  readonly #workers: Promise<void>[] = []
  #abort = new AbortController()
  #wake: (() => void)[] = []
  #rowsStored = 0
  readonly #recent: { at: number; rows: number; ms: number }[] = []
  readonly #retries: Record<FailureKind, number> = { retry: 0, crowded: 0, schema: 0, bad_data: 0 }
  readonly #clock: () => number
  readonly #restraint: Restraint
  #lastError = ''
  #failed = false

  constructor(options: LoaderOptions) {
    this.#options = options
    this.#clock = options.clock ?? (() => performance.now())
    this.#restraint = new Restraint(this.#clock)
  }

  start(): void {
    this.#abort = new AbortController()
    this.#options.spool.onSealed = () => {
      for (const wake of this.#wake.splice(0)) wake()
    }
    for (let i = 0; i < this.#options.loaders; i++) this.#workers.push(this.#work())
  }

  /** Lets the running inserts end; what is still in the spool loads after the next start. */
  async stop(): Promise<void> {
    this.#abort.abort()
    for (const wake of this.#wake.splice(0)) wake()
    await Promise.all(this.#workers.splice(0))
  }

  status(): LoaderStatus {
    const now = this.#clock()
    this.#trim(now)
    const inWindow = this.#recent.reduce((sum, { rows }) => sum + rows, 0)
    const since = this.#recent[0]?.at ?? now
    const times = this.#recent.map(({ ms }) => ms).sort((a, b) => a - b)
    return {
      rowsStored: this.#rowsStored,
      rowsPerSecond: (inWindow / Math.max(1000, Math.min(RATE_WINDOW_MS, now - since))) * 1000,
      insertMs: times[times.length >> 1] ?? 0,
      retries: { ...this.#retries },
      lastError: this.#lastError,
      failed: this.#failed,
    }
  }

  async #work(): Promise<void> {
    const { signal } = this.#abort
    while (!signal.aborted) {
      const segment = this.#options.spool.take()
      if (!segment) {
        await new Promise<void>((resolve) => this.#wake.push(resolve))
        continue
      }
      const done = await this.#bring(segment, signal)
      if (!done) this.#options.spool.giveBack(segment)
    }
  }

  /** Until the segment is stored or set aside; false when stop() came first. */
  async #bring(segment: SealedSegment, signal: AbortSignal): Promise<boolean> {
    const { spool, log, flows } = this.#options
    const attempt = { uncertain: segment.recovered, stored: false, token: 0, verifications: 0, refusals: 0 }
    for (let failures = 0; !signal.aborted; failures++) {
      await this.#options.room?.(signal)
      const leave = await this.#restraint.enter(signal)
      const began = performance.now()
      let outcome: Outcome = 'failed'
      let pauseFor = 0
      try {
        if (signal.aborted) return false
        if (segment.rows > 0 && !attempt.stored) await this.#store(segment, attempt)
        attempt.stored = true
        outcome = 'accepted'
        await this.#options.beforeRelease?.(segment)
        await spool.release(segment)
        flows.stored += segment.rows
        this.#rowsStored += segment.rows
        const ms = performance.now() - began
        this.#recent.push({ at: this.#clock(), rows: segment.rows, ms })
        this.#options.onStored?.(segment.rows, ms)
        if (this.#lastError !== '') log.info({ segment: segment.id }, 'the store takes flows again')
        this.#lastError = ''
        this.#failed = false
        return true
      } catch (error) {
        const kind = error instanceof StoreFailure ? error.kind : 'retry'
        attempt.uncertain ||= !(error instanceof StoreFailure) || error.uncertain
        this.#retries[kind]++
        const text = describeError(error)
        if (this.#lastError !== text)
          log.error({ segment: segment.id, kind, error: text }, 'a segment did not load')
        this.#lastError = text
        this.#failed = kind === 'schema'
        const isBad =
          kind === 'bad_data' &&
          (++attempt.refusals >= MAX_REFUSALS || attempt.verifications > MAX_VERIFICATIONS)
        if (isBad && (await this.#setAside(segment, text))) return true
        if (kind === 'crowded') outcome = 'crowded'
        else pauseFor = pauseMs(this.#failed ? 'schema' : kind === 'bad_data' ? 'retry' : kind, failures)
      } finally {
        leave(outcome)
      }
      await pause(pauseFor, signal)
    }
    return false
  }

  /** Whether it could be done; not on a full disk, for instance. Where there are too many already somebody must look first. */
  async #setAside(segment: SealedSegment, reason: string): Promise<boolean> {
    const { spool, drops, log } = this.#options
    try {
      const path = await spool.deadLetter(segment, reason)
      drops.add('store', 'dead_letter', segment.rows)
      log.error(
        { code: 'FD_STORE_DEAD_LETTER', path, rows: segment.rows, error: reason },
        'segment set aside',
      )
      return true
    } catch (error) {
      const text = describeError(error)
      log.error({ segment: segment.id, error: text }, 'a segment cannot be set aside')
      if (FlowdamError.is(error)) {
        this.#lastError = text
        this.#failed = true
      }
      return false
    }
  }

  /**
   * Inserts with the same token until one insert is answered. If an earlier one may have happened, the rows are
   * counted: the token alone is not enough, because ClickHouse writes its deduplication log before it publishes the
   * part (MergeTreeSink::finishDelayedChunk), so a kill between the two would make it refuse rows it does not have.
   */
  async #store(
    segment: SealedSegment,
    attempt: { uncertain: boolean; token: number; verifications: number },
  ): Promise<void> {
    const { target, log } = this.#options
    if (attempt.uncertain && (await target.count(segment)) === segment.rows) return
    await this.#insert(segment, attempt.token)
    if (!attempt.uncertain) return
    const there = await target.count(segment)
    if (there === undefined || there === segment.rows) return
    if (++attempt.verifications > MAX_VERIFICATIONS) {
      throw new StoreFailure('bad_data', `${there} of ${segment.rows} rows are there after every insert`)
    }
    log.warn({ segment: segment.id, there, rows: segment.rows }, 'an interrupted insert is done again')
    if (there > 0) await target.remove(segment)
    attempt.token++
    throw new StoreFailure('retry', `an interrupted insert left ${there} of ${segment.rows} rows`)
  }

  async #insert(segment: SealedSegment, tokenNumber: number): Promise<void> {
    const { target, sources } = this.#options
    const known = sources.ofAgents(segment.agents)
    for (const day of segment.days) await target.insert(segment, known, day, `${segment.id}.${tokenNumber}`)
  }

  #trim(now: number): void {
    while (this.#recent[0] && now - this.#recent[0].at > RATE_WINDOW_MS) this.#recent.shift()
  }
}
