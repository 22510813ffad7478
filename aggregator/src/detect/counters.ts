// SPDX-License-Identifier: Apache-2.0
import { AddressTable, NO_ROW } from './address-table.js'
import { IdleQueue } from './idle-queue.js'
import type { Policy, PolicySet } from './policies.js'
import { ENTRY_WORDS, type Slice } from './slice.js'
import { RowInfo, SlidingWindow } from './window.js'

export interface CountersOptions {
  /** Most addresses with counters at the same time; 256 bytes each and window, plus 60. */
  maxAddresses: number
  /** Most delta entries held by all windows together, 44 bytes each; the oldest go early beyond it. */
  maxEntries: number
  /** How long an idle address keeps its row, milliseconds. */
  idleMs: number
}

export const DEFAULT_COUNTERS: CountersOptions = {
  maxAddresses: 1_048_576,
  maxEntries: 16_777_216,
  idleMs: 60_000,
}

/** Idle rows given back at one advance: bounds the time that it takes. */
const RECLAIM_STEP = 10_000

export interface CounterLosses {
  /** Delta entries for addresses outside all networks. */
  notProtected: number
  /** Delta entries for which there was no row. */
  tableFull: number
  /** Slices taken out of a window before their time, because maxEntries was reached. */
  cutShort: number
}

/** Window sums for each protected address that moves, for hostgroups and in total. */
export class Counters {
  readonly policies: PolicySet
  readonly table: AddressTable
  readonly windows: readonly SlidingWindow[]
  readonly losses: CounterLosses = { notProtected: 0, tableFull: 0, cutShort: 0 }
  /** When each row last fired, incoming and outgoing, by the detector's clock; 0 for never. */
  readonly lastFired: Float64Array
  /** Rows that the last `add` changed. */
  readonly touched: Int32Array
  touchedCount = 0
  readonly #options: CountersOptions
  /** What else is known of a row, together so that it costs one cache miss: see RowInfo. */
  readonly #info: Int32Array
  #stamp = 0
  readonly #idle: IdleQueue
  #heldEntries = 0
  #now = 0

  constructor(policies: PolicySet, options: CountersOptions = DEFAULT_COUNTERS) {
    const rows = options.maxAddresses
    this.#options = options
    this.policies = policies
    this.table = new AddressTable(rows)
    this.touched = new Int32Array(rows)
    this.lastFired = new Float64Array(rows * 2)
    this.#info = new Int32Array(rows * RowInfo.words)
    this.#idle = new IdleQueue(rows)
    this.windows = policies.windowsMs.map(
      (ms) => new SlidingWindow(ms, rows, policies.groups.length, this.#info),
    )
  }

  get heldEntries(): number {
    return this.#heldEntries
  }

  policyOfRow(row: number): Policy {
    return this.policies.policies[this.#info[row * RowInfo.words + RowInfo.policy] as number] as Policy
  }

  /** Entries of this address that some window holds; 0 is idle. */
  liveEntries(row: number): number {
    return this.#info[row * RowInfo.words + RowInfo.live] as number
  }

  /** Counts one message. `touched` then lists its rows, each once. */
  add(slice: Slice, now: number): void {
    this.advance(now)
    this.#resolveRows(slice)
    for (const window of this.windows) window.add(slice, now)
    this.touchedCount = 0
    if (slice.holders === 0) {
      // Too old for every window; rows made for it would never fall idle otherwise.
      for (const row of slice.rows)
        if (row !== NO_ROW && this.liveEntries(row) === 0) this.#idle.push(row, now)
      return
    }
    this.#stamp = (this.#stamp + 1) | 0
    const info = this.#info
    this.#heldEntries += slice.count
    for (let i = 0; i < slice.count; i++) {
      const row = slice.rows[i] as number
      if (row === NO_ROW) continue
      const at = row * RowInfo.words
      info[at + RowInfo.live] = (info[at + RowInfo.live] as number) + 1
      if (info[at + RowInfo.stamp] === this.#stamp) continue
      info[at + RowInfo.stamp] = this.#stamp
      this.touched[this.touchedCount++] = row
    }
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

  readonly #release = (slice: Slice): void => {
    this.#heldEntries -= slice.count
    for (let i = 0; i < slice.count; i++) {
      const row = slice.rows[i] as number
      if (row === NO_ROW) continue
      const at = row * RowInfo.words + RowInfo.live
      const live = (this.#info[at] as number) - 1
      this.#info[at] = live
      if (live === 0) this.#idle.push(row, this.#now)
    }
  }

  #resolveRows(slice: Slice): void {
    const { words, rows, count } = slice
    const table = this.table
    table.guess(words, ENTRY_WORDS, count, rows)
    const removals = table.removals
    for (let i = 0; i < count; i++) {
      const at = i * ENTRY_WORDS
      // A guess made before a row changed hands may name a row that is no longer the address's.
      if (table.removals === removals && table.holds(rows[i] as number, words, at)) continue
      let row = table.find(words, at)
      if (row === NO_ROW) row = this.#newRow(words, at)
      rows[i] = row
    }
  }

  #newRow(words: Uint32Array, key: number): number {
    const policy = this.policies.indexOf(new Uint8Array(words.buffer, key * 4, 16))
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
    const at = row * RowInfo.words
    this.#info[at + RowInfo.policy] = policy
    const group = (this.policies.policies[policy] as Policy).group
    this.#info[at + RowInfo.group] = group < 0 ? this.policies.groups.length : group
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
      this.table.remove(row)
      freed++
    }
  }
}
