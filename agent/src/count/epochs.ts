// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { Ledger } from '@flowdam/proto'
import type { FlowMaps } from '../kernel/flow-maps.js'
import type { GracePeriod } from '../kernel/grace-period.js'
import { REASON_WORDS } from '../kernel/layout.js'
import { coarseClock } from '../kernel/libbpf.js'
import { Drain, type DrainedBatch } from './drain.js'
import { TokenBucket } from './token-bucket.js'

/** duration_ms has 16 bits. */
const LONGEST_EPOCH_MS = 60_000

export interface EpochBatch extends DrainedBatch {
  epochStartUnixMs: number
  epochMs: number
}

/** Detection's part in a flip: what the old epoch got since the last read. */
export interface EpochReader {
  finish(parity: number): void
}

export interface EpochOptions {
  maps: FlowMaps
  grace: GracePeriod
  reader: EpochReader
  emit: (batch: EpochBatch) => void
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
  /** Waiting for the grace period, and the whole flip with its drain. */
  graceMs: number
  flipMs: number
  ledgers: Map<number, Ledger>
  reasons: Float64Array
}

/**
 * Ends epochs: flips the parity, waits until nobody writes the old one, has it read a last time for detection,
 * drained and cleared. An epoch ends after export_interval; earlier when a part's log is half full and the export
 * budget allows; later, up to a minute, while the budget is overdrawn: then the log fills and packets go to overflow.
 */
export class Epochs {
  readonly stats: EpochStats = {
    epochs: 0,
    earlyFlips: 0,
    postponedFlips: 0,
    records: 0,
    lawViolations: 0,
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
  #startUnixMs = 0
  #drainedStartUnixMs = 0
  #drainedMs = 0
  #flipping: Promise<void> | undefined
  #postponed = false

  constructor(options: EpochOptions) {
    this.#options = options
    this.#exportIntervalMs = options.exportIntervalMs
    this.#budget = new TokenBucket(options.exportRate, burst(options.exportRate, options.exportIntervalMs))
    this.#drain = new Drain(options.maps, (batch) =>
      options.emit({ ...batch, epochStartUnixMs: this.#drainedStartUnixMs, epochMs: this.#drainedMs }),
    )
  }

  /** Before anything is attached. */
  start(): void {
    this.#begin(0)
  }

  setLimits(exportIntervalMs: number, exportRate: number): void {
    this.#exportIntervalMs = exportIntervalMs
    this.#budget.setRate(exportRate, burst(exportRate, exportIntervalMs))
  }

  /** Flips if it is time to. Call it each detect_interval; returns at once. */
  tick(): void {
    if (this.#flipping) return
    const age = performance.now() - this.#startedAt
    if (age >= this.#exportIntervalMs) {
      if (this.#budget.tokens >= 0 || age >= LONGEST_EPOCH_MS) {
        this.#flipInBackground()
      } else if (!this.#postponed) {
        this.#postponed = true
        this.stats.postponedFlips++
      }
      return
    }
    if (this.#halfFull() && this.#budget.tokens >= this.#drain.pending(this.#options.maps.parity)) {
      this.stats.earlyFlips++
      this.#flipInBackground()
    }
  }

  /** Ends the current epoch now, after a flip that may be under way. */
  async flip(): Promise<void> {
    await this.#flipping
    await this.#run()
  }

  #flipInBackground(): void {
    this.#flipping = this.#run()
      .catch((error) => this.#options.log.error({ err: error }, 'epoch lost'))
      .finally(() => {
        this.#flipping = undefined
      })
  }

  async #run(): Promise<void> {
    const { maps, grace, reader, log } = this.#options
    const old = maps.parity
    const began = performance.now()
    this.#drainedStartUnixMs = this.#startUnixMs
    this.#drainedMs = Math.round(began - this.#startedAt)
    this.#begin(1 - old)
    await grace.wait()
    this.stats.graceMs = performance.now() - began
    reader.finish(old)
    const result = await this.#drain.run(old)
    this.#budget.charge(result.records)
    this.#account(result.ledgers, result.reasons, result.records)
    this.stats.flipMs = performance.now() - began
    if (result.violations.length > 0) {
      this.stats.lawViolations++
      log.error(
        { violations: result.violations.slice(0, 8) },
        'the ledger and the records of an epoch disagree',
      )
    }
  }

  #begin(parity: number): void {
    const clock = (this.#options.clock ?? coarseClock)()
    const now = performance.now()
    const monotonicMs = Number(process.hrtime.bigint() / 1000n) / 1000
    // The coarse clock, which the programs read, lags by up to a tick.
    const lagMs = Math.max(0, monotonicMs - (clock.seconds * 1000 + clock.nanoseconds / 1e6))
    this.#options.maps.startEpoch(parity, clock)
    this.#startedAt = now
    this.#startUnixMs = Math.round(Date.now() - lagMs)
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

  #account(ledgers: Ledger[], reasons: Float64Array, records: number): void {
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

/** One interval's worth, and at least a second's. */
function burst(exportRate: number, exportIntervalMs: number): number {
  return exportRate * Math.max(1, exportIntervalMs / 1000)
}
