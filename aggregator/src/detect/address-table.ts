// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto'
import type { RowMemory } from './row-memory.js'

export const NO_ROW = -1

/**
 * Addresses → rows: open addressing over typed arrays, at most half full; the keys are in the rows. The hash is
 * seeded, so that nobody outside can aim for collisions by choosing destinations.
 */
export class AddressTable {
  readonly capacity: number
  /** Each row begins with its address, four words as they lie in a delta entry. */
  readonly #keys: Uint32Array
  readonly #stride: number
  /** Rows given back so far. */
  removals = 0
  #size = 0
  readonly #mask: number
  /** 0 for empty, else row + 1. */
  readonly #index: Int32Array
  readonly #hashes: Uint32Array
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
    this.#index = new Int32Array(buckets)
    this.#hashes = new Uint32Array(capacity)
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

  /** Reads each row's key and nothing else, so that many cache misses are waited for at once. */
  fetch(rows: Int32Array, from: number, to: number): number {
    const keys = this.#keys
    const stride = this.#stride
    let seen = 0
    for (let i = from; i < to; i++) seen ^= keys[Math.max(0, rows[i] as number) * stride + 3] as number
    return seen
  }

  /**
   * For each of `count` addresses, `stride` words apart, the row in its home bucket: right nearly always, to be
   * checked with `holds`. A loop without a branch, so that the processor waits for many cache misses at once; it
   * halves the cost of finding (measured with a million rows).
   */
  guess(words: Uint32Array, stride: number, count: number, rows: Int32Array): void {
    const index = this.#index
    const mask = this.#mask
    for (let i = 0, at = 0; i < count; i++, at += stride) {
      const hash = this.#hash(
        words[at] as number,
        words[at + 1] as number,
        words[at + 2] as number,
        words[at + 3] as number,
      )
      rows[i] = (index[hash & mask] as number) - 1
    }
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
    const keys = this.#keys
    const w0 = words[at] as number
    const w1 = words[at + 1] as number
    const w2 = words[at + 2] as number
    const w3 = words[at + 3] as number
    let bucket = this.#hash(w0, w1, w2, w3) & this.#mask
    for (;;) {
      const entry = index[bucket] as number
      if (entry === 0) return NO_ROW
      const key = (entry - 1) * this.#stride
      // The last word first: it is where addresses of one network differ.
      if (keys[key + 3] === w3 && keys[key + 2] === w2 && keys[key + 1] === w1 && keys[key] === w0) {
        return entry - 1
      }
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
    this.#index[bucket] = row + 1
    this.#size++
    return row
  }

  /** Gives a row back. What follows in its probe run moves up, so that no tombstones gather. */
  remove(row: number): void {
    const index = this.#index
    const mask = this.#mask
    let hole = (this.#hashes[row] as number) & mask
    while (index[hole] !== row + 1) hole = (hole + 1) & mask
    let next = (hole + 1) & mask
    for (;;) {
      const entry = index[next] as number
      if (entry === 0) break
      const home = (this.#hashes[entry - 1] as number) & mask
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        index[hole] = entry
        hole = next
      }
      next = (next + 1) & mask
    }
    index[hole] = 0
    this.#free[this.#freeCount++] = row
    this.#size--
    this.removals++
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
    return (h ^ (h >>> 16)) >>> 0
  }
}
