// SPDX-License-Identifier: Apache-2.0
import { DELTA_SIZE, type Totals } from '@flowdam/proto'
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

  constructor(
    agentId: string,
    { startMs, endMs, share }: Place,
    entries: Uint8Array,
    incoming: Totals | undefined,
    outgoing: Totals | undefined,
  ) {
    this.agentId = agentId
    this.startMs = startMs
    this.endMs = endMs
    this.share = share
    this.count = Math.floor(entries.length / DELTA_SIZE)
    this.words = new Uint32Array(this.count * ENTRY_WORDS)
    new Uint8Array(this.words.buffer).set(entries.subarray(0, this.count * DELTA_SIZE))
    this.rows = new Int32Array(this.count)
    this.cells = new Int32Array(this.count)
    this.incoming = incoming ?? NOTHING
    this.outgoing = outgoing ?? NOTHING
  }

  /** What the message covers; its place may be shorter. */
  get coversMs(): number {
    return this.share > 0 ? (this.endMs - this.startMs) / this.share : 0
  }
}
