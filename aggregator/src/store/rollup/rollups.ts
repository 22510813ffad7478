// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises'
import { describeError, type Logger } from '@flowdam/common'
import type { SealedSegment } from '../../spool/segment.js'
import type { Place } from '../ddl.js'
import type { Engine } from '../engine.js'
import { DirtyMinutes, type Minutes } from './dirty.js'
import { hourStatement, minutesStatement, ROLLUP_KEYS } from './statements.js'

export interface RollupOptions {
  engine: Engine
  place: Place
  /** Which minutes are to be summed; survives a crash. */
  file: string
  /** Minutes before this are gone from the flows, and must not be summed again. */
  retentionMs: number
  log: Logger
  /** Whether flows wait to be stored: sums then wait too. */
  isBehind: () => boolean
  /** Whether the disk has no room for them. */
  isHeld?: () => boolean
  /** After the end of a minute, for what agents still hold of it. */
  graceMs?: number
}

const GRACE_MS = 20_000
const LOOK_EVERY_MS = 1000
/** With so many minutes waiting they go before flows that wait, and by the hour. */
const TOO_MANY = 30
const RETRY_MS = 10_000
/** An hour that is not over is summed this often. */
const OPEN_HOUR_MS = 300_000
/** How far other aggregators' sums may be behind. */
const OTHERS_MS = 300_000
const MINUTE_MS = 60_000
const MINUTE_S = 60
const HOUR_S = 3600
const HOUR_MS = 3_600_000

/** Whether a minute's or an hour's sum (both since 1970) can stand for its flows. */
export interface Summed {
  minute: (minute: number) => boolean
  hour: (hour: number) => boolean
}

/**
 * Sums by host and by port, of minutes and hours. Not views: a minute is summed as a whole from the flows that are there,
 * when it is over, and again when flows come late; the newest sum replaces those before. So sums agree with flows
 * whatever became of any insert, and cost half of what views do (docs/store.md).
 */
export class Rollups {
  readonly #options: RollupOptions
  readonly #dirty: DirtyMinutes
  /** When the hour in which we are was summed last. */
  #openHourAtMs = 0
  #abort = new AbortController()
  #working: Promise<void> | undefined
  #computed = 0
  #lastError = ''

  constructor(options: RollupOptions) {
    this.#options = options
    this.#dirty = new DirtyMinutes(options.file)
  }

  async start(): Promise<void> {
    await this.#dirty.start()
    // Turned on beside flows that nobody marked: only what comes from now on is known to be summed.
    if (this.#dirty.since === undefined) {
      await this.#dirty.setSince((await this.#hasFlows()) ? Math.ceil(Date.now() / MINUTE_MS) : 0)
    }
    this.#abort = new AbortController()
    this.#working = this.#work(this.#abort.signal)
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#working
  }

  /** Before the segment is deleted: its minutes are on disk as to be summed when this resolves. */
  async stored(segment: SealedSegment): Promise<void> {
    const oldest = Date.now() - this.#options.retentionMs
    if (segment.rows > 0 && segment.maxUnixMs > oldest) {
      await this.#dirty.mark(Math.max(segment.minUnixMs, oldest), segment.maxUnixMs)
    }
  }

  /**
   * Which sums hold every flow that is stored. Where several aggregators may share the database, nobody knows what the
   * others still have to sum: their last minutes are left to the flows.
   */
  summed(): Summed {
    const others = this.#options.engine.kind === 'embedded' ? 0 : OTHERS_MS
    const before = others === 0 ? Number.POSITIVE_INFINITY : Math.floor((Date.now() - others) / MINUTE_MS)
    return {
      minute: (minute) => minute < before && this.#dirty.hasMinute(minute),
      hour: (hour) => hour * 60 + 59 < before && this.#dirty.hasHour(hour),
    }
  }

  async #hasFlows(): Promise<boolean> {
    const { engine, place } = this.#options
    const sql = `SELECT 1 FROM ${place.database}.flows LIMIT 1`
    return (await engine.query(sql, {}, { timeoutMs: 30_000, maxMemoryBytes: 1e8 })).length > 0
  }

  get waitingMinutes(): number {
    return this.#dirty.size
  }

  get waitingHours(): number {
    return this.#dirty.hours.length
  }

  /** Minutes summed since start, repetitions included. */
  get computedMinutes(): number {
    return this.#computed
  }

  get lastError(): string {
    return this.#lastError
  }

  async #work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const worked = await this.#step()
        this.#lastError = ''
        if (!worked) await sleep(LOOK_EVERY_MS, undefined, { signal })
      } catch (error) {
        if (signal.aborted) return
        const text = describeError(error)
        if (text !== this.#lastError) this.#options.log.warn({ error: text }, 'sums are behind')
        this.#lastError = text
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined)
      }
    }
  }

  /** Whether there was something to do. */
  async #step(): Promise<boolean> {
    const { graceMs, isBehind, isHeld } = this.#options
    if (isHeld?.()) return false
    const many = this.#dirty.size > TOO_MANY
    if (isBehind() && !many) return false
    const minutes = this.#dirty.next(Date.now() - (graceMs ?? GRACE_MS), many ? 60 : 1)
    if (minutes) await this.#sumMinutes(minutes)
    else return this.#sumHour()
    return true
  }

  async #sumMinutes(minutes: Minutes): Promise<void> {
    const { engine, place } = this.#options
    const [from, to] = [minutes[0] * MINUTE_S, (minutes[1] + 1) * MINUTE_S]
    this.#dirty.take(minutes)
    try {
      for (const key of ROLLUP_KEYS) await engine.background(minutesStatement(place, key, from, to))
    } catch (error) {
      await this.#dirty.done(false)
      throw error
    }
    await this.#dirty.done(true)
    this.#computed += minutes[1] - minutes[0] + 1
  }

  /** An hour that is over, or now and then the one in which we are; not before its minutes that are due. */
  async #sumHour(): Promise<boolean> {
    const { engine, place } = this.#options
    const now = Date.now()
    const open = Math.floor(now / HOUR_MS)
    const hour = this.#dirty.hours.find((one) => one < open || now - this.#openHourAtMs > OPEN_HOUR_MS)
    if (hour === undefined) return false
    for (const key of ROLLUP_KEYS) await engine.background(hourStatement(place, key, hour * HOUR_S))
    await this.#dirty.hourDone(hour)
    if (hour === open) this.#openHourAtMs = now
    return true
  }
}
