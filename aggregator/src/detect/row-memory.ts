// SPDX-License-Identifier: Apache-2.0
import { ROW_SLOTS } from './slots.js'

/** 8-byte slots before a row's sums: the address (16 bytes) and four words of information. */
const HEAD_SLOTS = 4

/** Words of a row, 32 bits each, from its first one on. */
export const RowWord = {
  key: 0,
  /** Entries that windows hold. */
  live: 4,
  /** The last message that left it over a budget. */
  stamp: 5,
  policy: 6,
  /** Where it counts together with others: index into cellSums. */
  cell: 7,
} as const

/**
 * Everything about one address side by side: key, information, then the sums of each window (SlotLayout). With a million
 * addresses each place in memory that an entry needs is a cache miss and a TLB miss; apart from the hash index this
 * makes it one. Asked for at once; the kernel gives pages as rows come into use.
 */
export class RowMemory {
  readonly rows: number
  /** 8-byte slots from one row to the next. */
  readonly stride: number
  /** 32-bit words from one row to the next. */
  readonly wordStride: number
  readonly sums: Float64Array
  readonly words: Uint32Array
  readonly #rowSlots: number

  constructor(rows: number, windows: number, rowSlots: number = ROW_SLOTS) {
    this.rows = rows
    this.#rowSlots = rowSlots
    this.stride = HEAD_SLOTS + windows * rowSlots
    this.wordStride = this.stride * 2
    this.sums = new Float64Array(rows * this.stride)
    this.words = new Uint32Array(this.sums.buffer)
  }

  /** Where the sums of a window begin within a row. */
  windowOffset(window: number): number {
    return HEAD_SLOTS + window * this.#rowSlots
  }
}
