// SPDX-License-Identifier: Apache-2.0
import { DELTA_SIZE, type Totals } from '@flowdam/proto'
import type { SliceArrays, SlicePool } from './slice-pool.js'
import type { Place } from './timeline.js'

/** 32-bit words of a delta entry, and where its fields are among them. */
export const ENTRY_WORDS = DELTA_SIZE / 4
export const EntryWord = { addr: 0, kinds: 4, flows: 5, packets: 6, bytes: 8 } as const

export interface ExternalTotals {
  packets: number
  bytes: number
  flows: number
}

const NOTHING: ExternalTotals = { packets: 0, bytes: 0, flows: 0 }

/** One HostDeltas message while any window still holds it. Times are milliseconds of the detector's clock. */
export class Slice {
  /** Whose message it is. */
  readonly agentId: string
  readonly startMs: number
  readonly endMs: number
  readonly count: number
  /** The entries, copied: gRPC hands them out at any alignment and inside a larger buffer. */
  readonly words: Uint32Array
  /** Row of each entry, NO_ROW for what is not counted. */
  readonly rows: Int32Array
  /** Index into cellSums of each entry. */
  readonly cells: Int32Array
  readonly incoming: ExternalTotals
  readonly outgoing: ExternalTotals
  /** How much of it counts; see Timeline. */
  readonly share: number
  /** Windows that still hold it. */
  holders = 0
  readonly #pool: SlicePool | undefined

  constructor(
    agentId: string,
    { startMs, endMs, share }: Place,
    entries: Uint8Array,
    incoming: Totals | undefined,
    outgoing: Totals | undefined,
    pool?: SlicePool,
  ) {
    this.agentId = agentId
    this.startMs = startMs
    this.endMs = endMs
    this.share = share
    this.count = Math.floor(entries.length / DELTA_SIZE)
    this.#pool = pool
    const arrays: SliceArrays = pool?.take(this.count) ?? {
      words: new Uint32Array(this.count * ENTRY_WORDS),
      rows: new Int32Array(this.count),
      cells: new Int32Array(this.count),
    }
    this.words = arrays.words
    this.rows = arrays.rows
    this.cells = arrays.cells
    const { buffer, byteOffset, byteLength } = this.words
    new Uint8Array(buffer, byteOffset, byteLength).set(entries.subarray(0, byteLength))
    this.incoming = incoming ?? NOTHING
    this.outgoing = outgoing ?? NOTHING
  }

  /** No window holds it any more: nobody looks at its entries again. */
  release(): void {
    this.#pool?.giveBack(this)
  }

  /** What the message covers; its place may be shorter. */
  get coversMs(): number {
    return this.share > 0 ? (this.endMs - this.startMs) / this.share : 0
  }
}
