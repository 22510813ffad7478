// SPDX-License-Identifier: Apache-2.0
import type { Ledger } from '@flowdam/proto'
import { MAX_BATCH_RECORDS, RECORD_SIZE } from '@flowdam/proto'
import type { FlowMaps } from '../kernel/flow-maps.js'
import { PartDirection, REASON_WORDS } from '../kernel/layout.js'
import { LawCheck } from './law.js'
import { LedgerSums } from './ledger.js'
import { RECORD_WORDS, RecordWord, readSettled } from './words.js'

/** Records of an epoch, ready for the wire; `ledgers` only in the epoch's last. */
export interface DrainedBatch {
  records: Buffer
  ledgers: Ledger[]
}

export interface DrainResult {
  records: number
  /** What contradicts the law; empty when all agrees. */
  violations: string[]
  ledgers: Ledger[]
  /** Packets by enum fd_reason. */
  reasons: Float64Array
}

/** Lets the event loop run: a copy of 16 384 records with its check takes about a millisecond. */
const breathe = () => new Promise<void>((resolve) => setImmediate(resolve))

/**
 * Copies an epoch that nobody writes any more into batches and checks the law. Repeated before `clear`, it gives the
 * same batches again: by that a killed agent's batches keep their numbers.
 */
export class Drain {
  readonly #maps: FlowMaps
  readonly #law = new LawCheck()
  readonly #sums = new LedgerSums()
  readonly #emit: (batch: DrainedBatch) => void
  #buffer: Buffer | undefined
  #words: Uint32Array = new Uint32Array(0)
  #filled = 0
  #records = 0

  constructor(maps: FlowMaps, emit: (batch: DrainedBatch) => void) {
    this.#maps = maps
    this.#emit = emit
  }

  /** Records that a drain of this parity would give, without overflow's. */
  pending(parity: number): number {
    let records = 0
    for (let part = 0; part < this.#maps.geometry.flowParts; part++) {
      records += this.#maps.flowsUsed(parity, part)
    }
    return records
  }

  async run(parity: number): Promise<DrainResult> {
    const { geometry } = this.#maps
    const reasons = new Float64Array(REASON_WORDS)
    this.#law.clear()
    this.#sums.clear()
    this.#records = 0
    for (let part = 0; part < geometry.nrParts; part++) {
      await this.#copyFlows(parity, part)
      if (this.#maps.hasOverflow(parity, part)) {
        this.#copyOverflow(parity, part)
        await breathe()
      }
      this.#sums.add(this.#maps.ledgers(parity, part), (part & 1) === PartDirection.egress)
      const state = this.#maps.partState(parity, part)
      for (let reason = 0; reason < REASON_WORDS; reason++) {
        reasons[reason] = (reasons[reason] as number) + readSettled(state, 2 + reason * 2)
      }
    }
    const ledgers = this.#sums.ledgers()
    this.#finish(ledgers)
    return { records: this.#records, violations: this.#law.violations(ledgers), ledgers, reasons }
  }

  /** Makes the maps ready for the next epoch of this parity. What was done halfway may be done again. */
  async clear(parity: number): Promise<void> {
    for (let part = 0; part < this.#maps.geometry.nrParts; part++) {
      this.#maps.clear(parity, part)
      if (part % 4 === 3) await breathe()
    }
  }

  async #copyFlows(parity: number, part: number): Promise<void> {
    const used = this.#maps.flowsUsed(parity, part)
    let done = 0
    while (done < used) {
      const room = this.#room(used - done)
      // Asked for anew after each pause: windows may move.
      const window = this.#maps.flows(parity, part, used)
      const target = this.#buffer as Buffer
      target.set(
        window.bytes.subarray(done * RECORD_SIZE, (done + room) * RECORD_SIZE),
        this.#filled * RECORD_SIZE,
      )
      this.#law.flows.add(this.#words, this.#filled, room)
      this.#advance(room)
      done += room
      if (done < used) await breathe()
    }
  }

  #copyOverflow(parity: number, part: number): void {
    const { words, bytes } = this.#maps.overflow(parity, part)
    for (let at = 0; at < words.length; at += RECORD_WORDS) {
      if (words[at + RecordWord.packets] === 0) continue
      this.#room(1)
      const target = this.#buffer as Buffer
      target.set(bytes.subarray(at * 4, at * 4 + RECORD_SIZE), this.#filled * RECORD_SIZE)
      this.#law.overflow.add(this.#words, this.#filled, 1)
      this.#advance(1)
    }
  }

  /** How many of `wanted` records the current buffer takes; at least one. */
  #room(wanted: number): number {
    if (this.#buffer && this.#filled * RECORD_SIZE === this.#buffer.length) this.#flush([])
    if (!this.#buffer) {
      // Memory of its own, not a slice of the pool: it is kept until acknowledged.
      this.#buffer = Buffer.allocUnsafeSlow(MAX_BATCH_RECORDS * RECORD_SIZE)
      this.#words = new Uint32Array(this.#buffer.buffer, 0, MAX_BATCH_RECORDS * RECORD_WORDS)
    }
    return Math.min(wanted, MAX_BATCH_RECORDS - this.#filled)
  }

  #advance(records: number): void {
    this.#filled += records
    this.#records += records
  }

  #finish(ledgers: Ledger[]): void {
    if (this.#filled > 0 || ledgers.length > 0) this.#flush(ledgers)
  }

  #flush(ledgers: Ledger[]): void {
    const used = this.#filled * RECORD_SIZE
    const buffer = this.#buffer ?? Buffer.alloc(0)
    // A far larger buffer than its content would be held until acknowledged: a small copy is cheaper.
    const records =
      used < buffer.length / 2 ? Buffer.from(buffer.subarray(0, used)) : buffer.subarray(0, used)
    if (used >= buffer.length / 2) this.#buffer = undefined
    this.#filled = 0
    this.#emit({ records, ledgers })
  }
}
