// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto'
import type { RowMemory } from './row-memory.js'

export const NO_ROW = -1

/** Entries that are worked on together while their rows are in the cache. */
export const BLOCK = 128

/**
 * Addresses → rows: open addressing over typed arrays, at most half full; the keys are in the rows. The hash is
 * seeded, so that nobody outside can aim for collisions by choosing destinations.
 */
export class AddressTable {
  readonly capacity: number
  /** Each row begins with its address, four words as they lie in a delta entry. */
  readonly #keys: Uint32Array
  readonly #stride: number
  #size = 0
  readonly #mask: number
  /** 0 for empty, else row + 1 in the low bits, and in those above as many of the hash: few other rows look like it. */
  readonly #index: Int32Array
  readonly #rowMask: number
  /** Hashes of the addresses that `locate` looks for. */
  readonly #wanted = new Int32Array(BLOCK)
  /** Keeps the compiler from leaving a fetch out. */
  fetched = 0
  readonly #hashes: Int32Array
  /** Rows that were in use and are free again; rows from #fresh on never were. */
  readonly #free: Int32Array
  #freeCount = 0
  #fresh = 0
  readonly #seed: Uint32Array

  constructor(memory: RowMemory, seed: Uint8Array = randomBytes(32)) {
    const capacity = memory.rows
    this.capacity = capacity
    const buckets = 2 ** Math.ceil(Math.log2(Math.max(2, capacity) * 2))
    this.#mask = buckets - 1
    this.#rowMask = 2 ** Math.ceil(Math.log2(capacity + 1)) - 1
    this.#index = new Int32Array(buckets)
    this.#hashes = new Int32Array(capacity)
    this.#free = new Int32Array(capacity)
    this.#keys = memory.words
    this.#stride = memory.wordStride
    this.#seed = new Uint32Array(8)
    new Uint8Array(this.#seed.buffer).set(seed.subarray(0, 32))
    // Multipliers must be odd to lose no bit.
    for (let i = 4; i < 8; i++) this.#seed[i] = (this.#seed[i] as number) | 1
  }

  get size(): number {
    return this.#size
  }

  /** Rows from here on were never in use. */
  get highWater(): number {
    return this.#fresh
  }

  get full(): boolean {
    return this.#size >= this.capacity
  }

  /**
   * The rows of up to BLOCK addresses, `stride` words apart: nearly always right where there is one, to be checked with
   * `holds`; NO_ROW where there was none. In steps without a branch, so that the processor waits for the cache misses of
   * all of them at once: first what hash and index need, then one line of each row.
   */
  locate(words: Uint32Array, stride: number, from: number, to: number, rows: Int32Array): void {
    const index = this.#index
    const mask = this.#mask
    const rowMask = this.#rowMask
    const hashes = this.#wanted
    const count = to - from
    for (let i = 0, at = from * stride; i < count; i++, at += stride) {
      hashes[i] = this.#hash(
        words[at] as number,
        words[at + 1] as number,
        words[at + 2] as number,
        words[at + 3] as number,
      )
    }
    let seen = 0
    for (let i = 0; i < count; i++) seen ^= index[(hashes[i] as number) & mask] as number
    for (let i = 0; i < count; i++) {
      const hash = hashes[i] as number
      let bucket = hash & mask
      let entry = index[bucket] as number
      while (entry !== 0 && ((entry ^ hash) & ~rowMask) !== 0) {
        bucket = (bucket + 1) & mask
        entry = index[bucket] as number
      }
      rows[from + i] = (entry & rowMask) - 1
    }
    const keys = this.#keys
    const wordStride = this.#stride
    for (let i = from; i < to; i++) seen ^= keys[Math.max(0, rows[i] as number) * wordStride + 3] as number
    this.fetched = seen
  }

  /** Whether the row, if it is one, is the address in words[at .. at + 3]. */
  holds(row: number, words: Uint32Array, at: number): boolean {
    if (row === NO_ROW) return false
    const keys = this.#keys
    const key = row * this.#stride
    return (
      keys[key + 3] === words[at + 3] &&
      keys[key + 2] === words[at + 2] &&
      keys[key + 1] === words[at + 1] &&
      keys[key] === words[at]
    )
  }

  /** Row of the address in words[at .. at + 3], or NO_ROW. */
  find(words: Uint32Array, at: number): number {
    const index = this.#index
    const rowMask = this.#rowMask
    const hash = this.#hash(
      words[at] as number,
      words[at + 1] as number,
      words[at + 2] as number,
      words[at + 3] as number,
    )
    let bucket = hash & this.#mask
    for (;;) {
      const entry = index[bucket] as number
      if (entry === 0) return NO_ROW
      const row = (entry & rowMask) - 1
      if (((entry ^ hash) & ~rowMask) === 0 && this.holds(row, words, at)) return row
      bucket = (bucket + 1) & this.#mask
    }
  }

  /** Takes a row for an address that find did not find. NO_ROW when the table is full. */
  insert(words: Uint32Array, at: number): number {
    if (this.full) return NO_ROW
    const row = this.#freeCount > 0 ? (this.#free[--this.#freeCount] as number) : this.#fresh++
    for (let i = 0; i < 4; i++) this.#keys[row * this.#stride + i] = words[at + i] as number
    const hash = this.#hash(
      words[at] as number,
      words[at + 1] as number,
      words[at + 2] as number,
      words[at + 3] as number,
    )
    this.#hashes[row] = hash
    let bucket = hash & this.#mask
    while (this.#index[bucket] !== 0) bucket = (bucket + 1) & this.#mask
    this.#index[bucket] = (row + 1) | (hash & ~this.#rowMask)
    this.#size++
    return row
  }

  /** Gives a row back. What follows in its probe run moves up, so that no tombstones gather. */
  remove(row: number): void {
    const index = this.#index
    const mask = this.#mask
    let hole = (this.#hashes[row] as number) & mask
    const rowMask = this.#rowMask
    while (((index[hole] as number) & rowMask) !== row + 1) hole = (hole + 1) & mask
    let next = (hole + 1) & mask
    for (;;) {
      const entry = index[next] as number
      if (entry === 0) break
      const home = (this.#hashes[(entry & rowMask) - 1] as number) & mask
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        index[hole] = entry
        hole = next
      }
      next = (next + 1) & mask
    }
    index[hole] = 0
    this.#free[this.#freeCount++] = row
    this.#size--
  }

  /** The address of a row as 16 bytes. */
  address(row: number): Uint8Array {
    const bytes = new Uint8Array(16)
    bytes.set(new Uint8Array(this.#keys.buffer, row * this.#stride * 4, 16))
    return bytes
  }

  #hash(w0: number, w1: number, w2: number, w3: number): number {
    const seed = this.#seed
    let h = Math.imul(w3 ^ (seed[0] as number), seed[4] as number)
    h = Math.imul(h ^ (h >>> 15) ^ w2 ^ (seed[1] as number), seed[5] as number)
    h = Math.imul(h ^ (h >>> 16) ^ w1 ^ (seed[2] as number), seed[6] as number)
    h = Math.imul(h ^ (h >>> 15) ^ w0 ^ (seed[3] as number), seed[7] as number)
    return h ^ (h >>> 16)
  }
}
