// SPDX-License-Identifier: Apache-2.0
import { BLOCK, NO_ROW } from './address-table.js'
import type { RowMemory } from './row-memory.js'
import { ENTRY_WORDS, EntryWord, type Slice } from './slice.js'
import { addToSlots, DIRECTION_SLOTS, type SlotLayout } from './slots.js'

/**
 * A window may be this much longer than asked for, so that ten intervals of "100 ms" fit into one second although a
 * timer makes them 101 ms; the budget grows with it (see `stretch`).
 */
export const WINDOW_SLACK = 0.02

/** Told of a slice's entries, block by block, when no window holds them any more. */
export type Released = (slice: Slice, from: number, to: number) => void

const TWO_32 = 2 ** 32

/**
 * Exact sums over the last `windowMs` for each row and each cell (cells.ts). A slice counts while the whole interval that
 * it covers lies in the window, so the sum never holds a packet older than the window. Work is done per entry that
 * comes or goes; idle addresses cost nothing. Sums are of integers below 2^53 and come back to exactly zero.
 */
export class SlidingWindow {
  readonly windowMs: number
  /** Of all windows; a row's begin at base(row). */
  readonly sums: Float64Array
  readonly #stride: number
  readonly #offset: number
  /** A row's worth of sums for each cell. */
  cellSums: Float64Array
  readonly #layout: SlotLayout
  /** incoming packets, bytes, flows, then outgoing: everything on external interfaces. */
  readonly external = new Float64Array(6)
  /** Keeps the compiler from leaving `fetch` out. */
  fetched = 0
  #queue: Slice[] = []
  #head = 0

  constructor(windowMs: number, index: number, memory: RowMemory, layout: SlotLayout, cells: number) {
    this.windowMs = windowMs
    this.sums = memory.sums
    this.#stride = memory.stride
    this.#offset = memory.windowOffset(index)
    this.#layout = layout
    this.cellSums = new Float64Array(cells * layout.slots)
  }

  /** Where a row's sums begin. */
  base(row: number): number {
    return row * this.#stride + this.#offset
  }

  /** Makes room for this many cells. */
  growCells(cells: number): void {
    const length = cells * this.#layout.slots
    if (length <= this.cellSums.length) return
    const larger = new Float64Array(length)
    larger.set(this.cellSums)
    this.cellSums = larger
  }

  /** One sum of a cell. */
  cellSum(cell: number, slot: number): number {
    return this.cellSums[cell * this.#layout.slots + slot] as number
  }

  /** The sums of these cells together, a row's worth. */
  sumCells(cells: Iterable<number>): Float64Array {
    const { slots } = this.#layout
    const total = new Float64Array(slots)
    for (const cell of cells) {
      for (let i = 0, at = cell * slots; i < slots; i++, at++) {
        total[i] = (total[i] as number) + (this.cellSums[at] as number)
      }
    }
    return total
  }

  /** When the slice begins for this window: one that covers more counts as one window's worth, ending at its end. */
  #start(slice: Slice): number {
    return Math.max(slice.startMs, slice.endMs - this.windowMs)
  }

  /**
   * Takes the slice into the window unless it is already too old. The caller then adds its entries with `apply`, all
   * of them, and its totals with `applyExternal`.
   */
  accept(slice: Slice, now: number): boolean {
    const start = this.#start(slice)
    if (start < now - this.windowMs * (1 + WINDOW_SLACK)) return false
    // Sorted by start. Almost always the last; not when agents differ in interval or one lags.
    const queue = this.#queue
    let at = queue.length
    while (at > this.#head && this.#start(queue[at - 1] as Slice) > start) at--
    queue.splice(at, 0, slice)
    slice.holders++
    return true
  }

  /** Takes out what is older than the window. */
  advance(now: number, released: Released): void {
    const oldest = now - this.windowMs * (1 + WINDOW_SLACK)
    while (this.#head < this.#queue.length) {
      const slice = this.#queue[this.#head] as Slice
      if (this.#start(slice) >= oldest) break
      this.shift(released)
    }
  }

  /** Takes the oldest slice out, due or not. */
  shift(released: Released): boolean {
    const slice = this.#queue[this.#head]
    if (!slice) return false
    this.#head++
    if (this.#head > 256 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    slice.holders--
    for (let from = 0; from < slice.count; from += BLOCK) {
      const to = Math.min(from + BLOCK, slice.count)
      this.fetch(slice, from, to)
      this.apply(slice, from, to, -1)
      if (slice.holders === 0) released(slice, from, to)
    }
    this.applyExternal(slice, -1)
    if (slice.holders === 0) slice.release()
    return true
  }

  /** Length of what is summed over the window's length, at least 1: budgets are multiplied with it. */
  stretch(now: number): number {
    const oldest = this.#queue[this.#head]
    return oldest ? Math.max(1, (now - this.#start(oldest)) / this.windowMs) : 1
  }

  *slices(): IterableIterator<Slice> {
    for (let i = this.#head; i < this.#queue.length; i++) yield this.#queue[i] as Slice
  }

  /** Adds (sign 1) or takes away (-1) the entries from `from` up to `to`. */
  apply(slice: Slice, from: number, to: number, sign: number): void {
    const { words, rows, cells } = slice
    const { sums, cellSums } = this
    const { vectorSlots, slots } = this.#layout
    const stride = this.#stride
    const offset = this.#offset
    const scale = this.#scale(slice)
    for (let i = from; i < to; i++) {
      const row = rows[i] as number
      if (row === NO_ROW) continue
      const at = i * ENTRY_WORDS
      const kinds = words[at + EntryWord.kinds] as number
      let flows = words[at + EntryWord.flows] as number
      let packets =
        (words[at + EntryWord.packets] as number) + (words[at + EntryWord.packets + 1] as number) * TWO_32
      let bytes =
        (words[at + EntryWord.bytes] as number) + (words[at + EntryWord.bytes + 1] as number) * TWO_32
      if (scale !== 1) {
        // Whole numbers, so that what is added is taken away again exactly.
        flows = Math.round(flows * scale)
        packets = Math.round(packets * scale)
        bytes = Math.round(bytes * scale)
      }
      flows *= sign
      packets *= sign
      bytes *= sign
      const direction = (kinds & 1) * DIRECTION_SLOTS
      const deltaClass = (kinds >>> 8) & 0xff
      const marks = (kinds >>> 16) & 0xff
      const base = row * stride + offset
      const cell = (cells[i] as number) * slots
      addToSlots(sums, base + direction, deltaClass, marks, packets, bytes, flows)
      addToSlots(cellSums, cell + direction, deltaClass, marks, packets, bytes, flows)
      const vectorSlot = vectorSlots[kinds >>> 24] as number
      if (vectorSlot !== 0) {
        const at = vectorSlot + (kinds & 1) * 2
        sums[base + at] = (sums[base + at] as number) + packets
        sums[base + at + 1] = (sums[base + at + 1] as number) + bytes
        cellSums[cell + at] = (cellSums[cell + at] as number) + packets
        cellSums[cell + at + 1] = (cellSums[cell + at + 1] as number) + bytes
      }
    }
  }

  applyExternal(slice: Slice, sign: number): void {
    const scale = this.#scale(slice)
    this.#addExternal(0, slice.incoming, scale, sign)
    this.#addExternal(3, slice.outgoing, scale, sign)
  }

  /** The share of a slice that counts: one window's worth of one that is longer. */
  #scale(slice: Slice): number {
    const placed = slice.endMs - slice.startMs
    return placed > this.windowMs ? (slice.share * this.windowMs) / placed : slice.share
  }

  /**
   * Reads from each of these rows what `apply` needs, and nothing else: in a loop this small the processor waits for many
   * cache misses at once, in that one for two or three.
   */
  fetch({ words, rows }: Slice, from: number, to: number): void {
    const { sums } = this
    const stride = this.#stride
    const offset = this.#offset
    let seen = 0
    for (let i = from; i < to; i++) {
      const direction = ((words[i * ENTRY_WORDS + EntryWord.kinds] as number) & 1) * DIRECTION_SLOTS
      const base = Math.max(0, rows[i] as number) * stride + offset + direction
      seen += (sums[base] as number) + (sums[base + 5] as number)
    }
    this.fetched = seen
  }

  #addExternal(at: number, totals: Slice['incoming'], scale: number, sign: number): void {
    const external = this.external
    external[at] = (external[at] as number) + sign * Math.round(totals.packets * scale)
    external[at + 1] = (external[at + 1] as number) + sign * Math.round(totals.bytes * scale)
    external[at + 2] = (external[at + 2] as number) + sign * Math.round(totals.flows * scale)
  }
}
