// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { Ledger } from '@flowdam/proto'
import type { FlowMaps } from '../kernel/flow-maps.js'
import type { GracePeriod } from '../kernel/grace-period.js'
import { REASON_WORDS } from '../kernel/layout.js'
import { coarseClock } from '../kernel/libbpf.js'
import { Drain, type DrainedBatch, type DrainResult } from './drain.js'
import type { EpochState } from './epoch-state.js'
import type { Sequence } from './sequence.js'
import { TokenBucket } from './token-bucket.js'

/** duration_ms has 16 bits. */
const LONGEST_EPOCH_MS = 60_000

export interface EpochBatch extends DrainedBatch {
  epochStartUnixMs: number
  epochMs: number
}

/** A set of maps and what is known about its epochs. */
export interface EpochSource {
  maps: FlowMaps
  state: EpochState
}

/** Detection's part in a flip: what the old epoch got since the last read. */
export interface EpochReader {
  finish(parity: number): Promise<void> | void
}

export interface EpochOptions extends EpochSource {
  sequence: Sequence
  grace: GracePeriod
  reader: EpochReader
  /** `seq`: with agent and boot the batch's name for ever. Without a gap, also over a take-over. */
  emit: (batch: EpochBatch, seq: number) => void
  /** Everything up to this seq survives our death; an epoch is cleared no sooner. Absent: cleared at once. */
  durableSeq?: () => number
  log: Logger
  exportIntervalMs: number
  /** Records a second, over time. */
  exportRate: number
  clock?: () => { seconds: number; nanoseconds: number }
}

/** What happened, for metrics. Milliseconds; counters since start. */
export interface EpochStats {
  epochs: number
  earlyFlips: number
  postponedFlips: number
  records: number
  lawViolations: number
  /** Epochs cleared though their batches are in this process's memory only: nobody acknowledged them for a minute. */
  unprotected: number
  /** Epochs that a killed agent had not brought to their end. */
  recovered: number
  /** Waiting for the grace period, and the whole flip with its drain. */
  graceMs: number
  flipMs: number
  ledgers: Map<number, Ledger>
  reasons: Float64Array
}

/**
 * Ends epochs: flips the parity, waits until nobody writes the old one, has it read a last time for detection, drained
 * and cleared. An epoch ends after export_interval; earlier when a part's log is half full and the export budget
 * allows; later, up to a minute, while the budget is overdrawn: then the log fills and packets go to overflow.
 *
 * With `durableSeq` the kernel's log is the first durable queue: a drained epoch stays there until its batches are
 * durable elsewhere, and who finds it there later drains it again under the same numbers. Meanwhile no flip is possible;
 * after a minute the maps are needed more than that.
 */
export class Epochs {
  readonly stats: EpochStats = {
    epochs: 0,
    earlyFlips: 0,
    postponedFlips: 0,
    records: 0,
    lawViolations: 0,
    unprotected: 0,
    recovered: 0,
    graceMs: 0,
    flipMs: 0,
    ledgers: new Map(),
    reasons: new Float64Array(REASON_WORDS),
  }
  readonly #options: EpochOptions
  readonly #drain: Drain
  readonly #budget: TokenBucket
  #exportIntervalMs: number
  #startedAt = 0
  #flipping: Promise<void> | undefined
  /** A drained epoch that is not cleared yet. */
  #held: { lastSeq: number; since: number; clear: () => Promise<void> } | undefined
  #postponed = false

  constructor(options: EpochOptions) {
    this.#options = options
    this.#exportIntervalMs = options.exportIntervalMs
    this.#budget = new TokenBucket(options.exportRate, burst(options.exportRate, options.exportIntervalMs))
    this.#drain = new Drain(options.maps, (batch) => this.#emit(batch))
  }

  /** Before anything is attached, when the maps are new. */
  start(): void {
    this.#begin(0)
  }

  /** Instead of start, when the programs are counting into maps that another agent made. */
  resume(): void {
    const { maps, state } = this.#options
    // performance.now() began with this process; how long the epoch lasts already is in the wall clock only.
    this.#startedAt = performance.now() - Math.max(0, Date.now() - state.startUnixMs(maps.parity))
  }

  /**
   * Drains what an agent before us left undone, under the numbers that it gave. After start or resume, before any
   * flip, when all links lead to our programs. `left`: sets of maps that no program is given any more; `forget` is
   * called when what was in them is durable elsewhere.
   */
  async recover(left: readonly EpochSource[], forget: () => void): Promise<void> {
    const { grace, maps, state, sequence } = this.#options
    // Writers of an epoch that was just ended, or of the old maps.
    await grace.wait()
    this.#emitting.seq = firstUnsent(sequence, { maps, state }, left)
    for (const source of left) await this.#recoverLeft(source)
    const old = 1 - maps.parity
    await this.#recoverEpoch(this.#drain, state, old)
    const ended = state.firstSeq(old) !== 0
    if (!ended && left.length === 0) return
    this.#hold(async () => {
      forget()
      if (ended) await this.#clear(old)
    })
  }

  setLimits(exportIntervalMs: number, exportRate: number): void {
    this.#exportIntervalMs = exportIntervalMs
    this.#budget.setRate(exportRate, burst(exportRate, exportIntervalMs))
  }

  /** Flips if it is time to. Call it each detect_interval; returns at once. */
  tick(): void {
    if (this.#flipping) return
    const age = performance.now() - this.#startedAt
    if (this.#held) {
      if (this.#mayClear()) this.#inBackground(this.#clearHeld())
      return
    }
    if (age >= this.#exportIntervalMs) {
      if (this.#budget.tokens >= 0 || age >= LONGEST_EPOCH_MS) {
        this.#inBackground(this.#run())
      } else if (!this.#postponed) {
        this.#postponed = true
        this.stats.postponedFlips++
      }
      return
    }
    if (this.#halfFull() && this.#budget.tokens >= this.#drain.pending(this.#options.maps.parity)) {
      this.stats.earlyFlips++
      this.#inBackground(this.#run())
    }
  }

  /**
   * Ends the current epoch now, after a flip that may be under way. Does nothing while the last one is still held:
   * then this one stays in the kernel too.
   */
  async flip(): Promise<void> {
    await this.settle()
    if (!this.#held) await this.#run()
  }

  /** Clears a drained epoch if its batches are durable by now. */
  async settle(): Promise<void> {
    await this.#flipping
    if (this.#held && this.#mayClear()) await this.#clearHeld()
  }

  #inBackground(work: Promise<void>): void {
    this.#flipping = work
      .catch((error) => this.#options.log.error({ err: error }, 'epoch lost'))
      .finally(() => {
        this.#flipping = undefined
      })
  }

  async #run(): Promise<void> {
    const { maps, state, sequence, grace, reader } = this.#options
    const old = maps.parity
    const began = performance.now()
    // A death before the flip leaves only what the next flip writes again.
    state.end(old, sequence.nextSeq, Math.round(began - this.#startedAt))
    this.#begin(1 - old)
    await grace.wait()
    this.stats.graceMs = performance.now() - began
    await reader.finish(old)
    const result = await this.#drainEpoch(this.#drain, state, old)
    this.#budget.charge(result.records)
    this.#hold(() => this.#clear(old))
    if (this.#mayClear()) await this.#clearHeld()
    this.stats.flipMs = performance.now() - began
  }

  /** What the batches of the drain that runs are named. */
  #emitted = false
  #emitting = { seq: 1, epochStartUnixMs: 0, epochMs: 0 }

  #emit(batch: DrainedBatch): void {
    const { seq, epochStartUnixMs, epochMs } = this.#emitting
    this.#emitted = true
    this.#emitting.seq++
    this.#options.emit({ ...batch, epochStartUnixMs, epochMs }, seq)
  }

  async #drainEpoch(drain: Drain, state: EpochState, parity: number): Promise<DrainResult> {
    this.#emitting = {
      seq: state.firstSeq(parity),
      epochStartUnixMs: state.startUnixMs(parity),
      epochMs: state.epochMs(parity),
    }
    const result = await drain.run(parity)
    this.#options.sequence.advance(this.#emitting.seq)
    this.#account(result)
    return result
  }

  #mayClear(): boolean {
    const { durableSeq } = this.#options
    if (!durableSeq || !this.#held || durableSeq() >= this.#held.lastSeq) return true
    return performance.now() - this.#held.since >= LONGEST_EPOCH_MS
  }

  #hold(clear: () => Promise<void>): void {
    // A recovery that found only empty epochs has nothing to wait for.
    const lastSeq = this.#emitted ? this.#emitting.seq - 1 : 0
    this.#held = { lastSeq, since: performance.now(), clear }
  }

  async #clearHeld(): Promise<void> {
    const { durableSeq } = this.#options
    const held = this.#held
    if (!held) return
    if (durableSeq && durableSeq() < held.lastSeq) this.stats.unprotected++
    await held.clear()
    this.#held = undefined
  }

  async #clear(parity: number): Promise<void> {
    const { state } = this.#options
    state.startClearing(parity)
    await this.#drain.clear(parity)
    state.cleared(parity)
  }

  async #recoverLeft({ maps, state }: EpochSource): Promise<void> {
    const drain = new Drain(maps, (batch) => this.#emit(batch))
    const last = maps.parity
    await this.#recoverEpoch(drain, state, 1 - last)
    if (state.firstSeq(last) === 0) {
      state.end(last, this.#options.sequence.nextSeq, Math.max(0, Date.now() - state.startUnixMs(last)))
    }
    await this.#recoverEpoch(drain, state, last)
  }

  /** An epoch that was ended: not begun to be cleared, it may not have been sent in full. */
  async #recoverEpoch(drain: Drain, state: EpochState, parity: number): Promise<void> {
    if (state.clearing(parity)) {
      await drain.clear(parity)
      state.cleared(parity)
    } else if (state.firstSeq(parity) !== 0) {
      this.stats.recovered++
      await this.#drainEpoch(drain, state, parity)
    }
  }

  #begin(parity: number): void {
    const clock = (this.#options.clock ?? coarseClock)()
    const now = performance.now()
    const monotonicMs = Number(process.hrtime.bigint() / 1000n) / 1000
    // The coarse clock, which the programs read, lags by up to a tick.
    const lagMs = Math.max(0, monotonicMs - (clock.seconds * 1000 + clock.nanoseconds / 1e6))
    this.#options.state.begin(parity, Math.round(Date.now() - lagMs))
    this.#options.maps.startEpoch(parity, clock)
    this.#startedAt = now
    this.#postponed = false
  }

  #halfFull(): boolean {
    const { maps } = this.#options
    const { flowParts, flowSlots } = maps.geometry
    for (let part = 0; part < flowParts; part++) {
      if (maps.flowsUsed(maps.parity, part) * 2 >= flowSlots) return true
    }
    return false
  }

  #account({ ledgers, reasons, records, violations }: DrainResult): void {
    if (violations.length > 0) {
      this.stats.lawViolations++
      this.#options.log.error(
        { violations: violations.slice(0, 8) },
        'the ledger and the records of an epoch disagree',
      )
    }
    this.stats.epochs++
    this.stats.records += records
    for (const [index, packets] of reasons.entries()) {
      this.stats.reasons[index] = (this.stats.reasons[index] ?? 0) + packets
    }
    for (const ledger of ledgers) {
      const sum = this.stats.ledgers.get(ledger.iface)
      if (!sum) {
        this.stats.ledgers.set(ledger.iface, { ...ledger })
        continue
      }
      for (const field of Object.keys(sum) as (keyof Ledger)[]) {
        if (field !== 'iface') sum[field] += ledger[field]
      }
    }
  }
}

/** seq of the first batch that `recover` will give, or else the next flip. */
export function firstUnsent(sequence: Sequence, current: EpochSource, left: readonly EpochSource[]): number {
  let first = sequence.nextSeq
  for (const { state } of [current, ...left]) {
    for (const parity of [0, 1]) {
      if (state.firstSeq(parity) !== 0 && !state.clearing(parity))
        first = Math.min(first, state.firstSeq(parity))
    }
  }
  return first
}

/** One interval's worth, and at least a second's. */
function burst(exportRate: number, exportIntervalMs: number): number {
  return exportRate * Math.max(1, exportIntervalMs / 1000)
}
