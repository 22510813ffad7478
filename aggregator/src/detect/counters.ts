// SPDX-License-Identifier: Apache-2.0
import { AddressTable, BLOCK, NO_ROW } from './address-table.js'
import { Cells } from './cells.js'
import { IdleQueue } from './idle-queue.js'
import type { Policy, PolicySet } from './policies.js'
import { RowMemory, RowWord } from './row-memory.js'
import { ENTRY_WORDS, type Slice } from './slice.js'
import { type Released, SlidingWindow, WINDOW_SLACK } from './window.js'

export interface CountersOptions {
  /** Most addresses with counters at the same time; 256 bytes each and window (32 more for each vector), plus 80. */
  maxAddresses: number
  /** Most delta entries held by all windows together, 48 bytes each; the oldest go early beyond it. */
  maxEntries: number
  /** How long an idle address keeps its row, milliseconds. */
  idleMs: number
  /** Most prefixes whose addresses are counted together, 256 bytes each and window. */
  maxPrefixes?: number
}

export const DEFAULT_COUNTERS: CountersOptions = {
  maxAddresses: 1_048_576,
  maxEntries: 16_777_216,
  idleMs: 60_000,
}

/** Idle rows given back at one advance: bounds the time that it takes. */
const RECLAIM_STEP = 10_000

/** Addresses with thresholds of their own, by a number each. */
export interface OwnPolicies {
  /** Numbers are below this. */
  readonly capacity: number
  /** The number of the address in words[at .. at + 3], or -1. */
  find(words: Uint32Array, at: number): number
  /** What holds for it; `base` is what would. */
  policyOf(own: number, base: Policy): Policy
}

export interface CounterLosses {
  /** Delta entries for addresses outside all networks. */
  notProtected: number
  /** Delta entries for which there was no row. */
  tableFull: number
  /** Slices taken out of a window before their time, because maxEntries was reached. */
  cutShort: number
  /** Addresses whose prefix is not counted, for want of room. */
  prefixesFull: number
  /** Delta entries that came when no window went back so far, or with more time than has passed. */
  late: number
}

export const NO_LOSSES: Readonly<CounterLosses> = {
  notProtected: 0,
  tableFull: 0,
  cutShort: 0,
  prefixesFull: 0,
  late: 0,
}

/** Window sums for each protected address that moves, for hostgroups and in total. */
export class Counters {
  readonly policies: PolicySet
  readonly table: AddressTable
  readonly windows: readonly SlidingWindow[]
  readonly cells: Cells
  readonly losses: CounterLosses = { ...NO_LOSSES }
  /** When each row last fired, incoming and outgoing, by the detector's clock; 0 for never. */
  readonly lastFired: Float64Array
  /** Rows that the last `add` left over a budget, each once. */
  readonly over: Int32Array
  overCount = 0
  readonly #options: CountersOptions
  readonly #memory: RowMemory
  readonly #own: OwnPolicies | undefined
  /** Of the policy set, then addresses' own; rows have an index into it. */
  readonly #policies: Policy[]
  #stamp = 0
  readonly #idle: IdleQueue
  #heldEntries = 0
  #now = 0

  constructor(policies: PolicySet, options: CountersOptions = DEFAULT_COUNTERS, own?: OwnPolicies) {
    const rows = options.maxAddresses
    this.#options = options
    this.policies = policies
    this.#own = own
    // All of it at once: an array that is filled here and there would turn into a hash table.
    this.#policies = new Array(policies.policies.length + (own?.capacity ?? 0))
    for (const [index, policy] of policies.policies.entries()) this.#policies[index] = policy
    this.#memory = new RowMemory(rows, policies.windowsMs.length, policies.layout.slots)
    this.table = new AddressTable(this.#memory)
    this.over = new Int32Array(rows)
    this.lastFired = new Float64Array(rows * 2)
    this.#idle = new IdleQueue(rows)
    this.cells = new Cells(policies, options.maxPrefixes)
    this.windows = policies.windowsMs.map(
      (ms, index) => new SlidingWindow(ms, index, this.#memory, policies.layout, this.cells.highWater),
    )
  }

  get heldEntries(): number {
    return this.#heldEntries
  }

  /** By how much the shortest window may be longer than asked for. */
  get slackMs(): number {
    return WINDOW_SLACK * (this.windows[0]?.windowMs ?? 0)
  }

  policyOfRow(row: number): Policy {
    return this.#policies[
      this.#memory.words[row * this.#memory.wordStride + RowWord.policy] as number
    ] as Policy
  }

  /** The number that OwnPolicies has for the row's address, or -1. */
  ownOfRow(row: number): number {
    const index = this.#memory.words[row * this.#memory.wordStride + RowWord.policy] as number
    return Math.max(-1, index - this.policies.policies.length)
  }

  giveOwn(row: number, own: number, policy: Policy): void {
    const index = this.policies.policies.length + own
    this.#policies[index] = policy
    this.#memory.words[row * this.#memory.wordStride + RowWord.policy] = index
  }

  takeOwn(row: number): void {
    const index = this.policies.indexOf(this.table.address(row)) ?? 0
    this.#memory.words[row * this.#memory.wordStride + RowWord.policy] = index
  }

  /** Whether something of the row was over a threshold since then. */
  firedSince(row: number, since: number): boolean {
    const last = Math.max(this.lastFired[row * 2] as number, this.lastFired[row * 2 + 1] as number)
    return last !== 0 && last >= since
  }

  cellOfRow(row: number): number {
    return this.#memory.words[row * this.#memory.wordStride + RowWord.cell] as number
  }

  /** Entries of this address that some window holds; 0 is idle. */
  liveEntries(row: number): number {
    return this.#memory.words[row * this.#memory.wordStride + RowWord.live] as number
  }

  /**
   * Counts one message; `over` then lists the rows that are over a budget. Block by block, everything that is to be
   * done for an entry while its row is in the cache.
   */
  add(slice: Slice, now: number): void {
    this.advance(now)
    this.overCount = 0
    const accepting = slice.share > 0 ? this.windows.filter((window) => window.accept(slice, now)) : []
    if (accepting.length === 0) {
      this.losses.late += slice.count
      slice.release()
      return
    }
    this.#heldEntries += slice.count
    this.#stamp = (this.#stamp + 1) >>> 0
    const stretch = this.windows.map((window) => window.stretch(now))
    const { table } = this
    for (let from = 0; from < slice.count; from += BLOCK) {
      const to = Math.min(from + BLOCK, slice.count)
      table.locate(slice.words, ENTRY_WORDS, from, to, slice.rows)
      for (const window of accepting) window.fetch(slice, from, to)
      this.#resolveRows(slice, from, to)
      for (const window of accepting) window.apply(slice, from, to, 1)
      this.#compare(slice.rows, from, to, stretch)
    }
    for (const window of accepting) window.applyExternal(slice, 1)
    while (this.#heldEntries > this.#options.maxEntries && this.#cutShort()) this.losses.cutShort++
  }

  /** Lets what is out of the windows go. Cheap when nothing is due. */
  advance(now: number): void {
    this.#now = now
    for (const window of this.windows) window.advance(now, this.#release)
    this.#reclaim(now - this.#options.idleMs, RECLAIM_STEP)
  }

  #cutShort(): boolean {
    // The longest window holds the most and loses least by it.
    return this.windows.at(-1)?.shift(this.#release) ?? false
  }

  readonly #release: Released = (slice, from, to) => {
    this.#heldEntries -= to - from
    const { words: info, wordStride } = this.#memory
    for (let i = from; i < to; i++) {
      const row = slice.rows[i] as number
      if (row === NO_ROW) continue
      const at = row * wordStride + RowWord.live
      const live = (info[at] as number) - 1
      info[at] = live
      if (live === 0) this.#idle.push(row, this.#now)
    }
  }

  /** Checks rows, takes new ones, and holds each row for its entry. */
  #resolveRows(slice: Slice, from: number, to: number): void {
    const { words, rows, cells } = slice
    const { words: info, wordStride } = this.#memory
    const table = this.table
    for (let i = from; i < to; i++) {
      const at = i * ENTRY_WORDS
      let row = rows[i] as number
      if (!table.holds(row, words, at)) {
        row = table.find(words, at)
        if (row === NO_ROW) row = this.#newRow(words, at)
        rows[i] = row
      }
      if (row === NO_ROW) continue
      const head = row * wordStride
      cells[i] = info[head + RowWord.cell] as number
      // At once: a row that is held cannot be taken for a new address of the same message.
      info[head + RowWord.live] = (info[head + RowWord.live] as number) + 1
    }
  }

  /** Notes rows over a budget. Sums only grow within a message, so each row's last entry decides. */
  #compare(rows: Int32Array, from: number, to: number, stretch: readonly number[]): void {
    const { words: info, wordStride, sums } = this.#memory
    const policies = this.#policies
    for (let i = from; i < to; i++) {
      const row = rows[i] as number
      if (row === NO_ROW || (i + 1 < to && rows[i + 1] === row)) continue
      const head = row * wordStride
      const policy = policies[info[head + RowWord.policy] as number] as Policy
      const { slots, budgets } = policy
      const longer = stretch[policy.window] as number
      const base = (this.windows[policy.window] as SlidingWindow).base(row)
      for (let k = 0; k < slots.length; k++) {
        if ((sums[base + (slots[k] as number)] as number) <= (budgets[k] as number) * longer) continue
        if (info[head + RowWord.stamp] !== this.#stamp) this.over[this.overCount++] = row
        info[head + RowWord.stamp] = this.#stamp
        break
      }
    }
  }

  #newRow(words: Uint32Array, key: number): number {
    const address = new Uint8Array(words.buffer, words.byteOffset + key * 4, 16)
    const policy = this.policies.indexOf(address)
    if (policy === undefined) {
      this.losses.notProtected++
      return NO_ROW
    }
    if (this.table.full) this.#reclaim(Number.POSITIVE_INFINITY, 1)
    const row = this.table.insert(words, key)
    if (row === NO_ROW) {
      this.losses.tableFull++
      return NO_ROW
    }
    this.lastFired.fill(0, row * 2, row * 2 + 2)
    const { words: info, wordStride } = this.#memory
    const at = row * wordStride
    info[at + RowWord.policy] = policy
    const base = this.policies.policies[policy] as Policy
    const { group } = base
    if (this.#own && base.learns.length > 0) {
      const own = this.#own.find(words, key)
      if (own >= 0) this.giveOwn(row, own, this.#own.policyOf(own, base))
    }
    const cell = this.cells.take(address, group)
    if (cell >= this.cells.room) {
      this.cells.room = Math.max(256, cell * 2)
      for (const window of this.windows) window.growCells(this.cells.room)
    }
    this.losses.prefixesFull = this.cells.refused
    info[at + RowWord.cell] = cell
    return row
  }

  /** Gives back up to `most` rows that have been idle since `before`. Their sums are zero by then. */
  #reclaim(before: number, most: number): void {
    let freed = 0
    while (freed < most) {
      const row = this.#idle.shift(before)
      if (row < 0) return
      // A row that moved again is not idle; it comes back into the queue when it next falls idle.
      if (this.liveEntries(row) !== 0) continue
      this.cells.giveBack(this.cellOfRow(row))
      this.table.remove(row)
      freed++
    }
  }
}
