// SPDX-License-Identifier: Apache-2.0
import { webcrypto as crypto } from 'node:crypto'
import { DELTA_SIZE } from '@flowdam/proto'

const FIRST_CAPACITY = 1024
/** 65 bytes each; what comes when even this is full is counted as lost. */
const DEFAULT_MOST = 1 << 19
const DELTA_WORDS = DELTA_SIZE / 4
const TWO_32 = 4_294_967_296
const NONE = -1
/** An entry's usual rate is the average of about so long. */
const USUAL_MS = 2000

/**
 * Sums per (address, direction, class, marks, vector) since the last message. Entries lie densely, so that a reader
 * may remember an entry's number; the index over them is open addressing. Nothing here allocates but growth.
 */
export class HostTable {
  /** Grows each time that entry numbers lose their meaning. */
  generation = 0
  /** Packets that found no place. */
  lostPackets = 0
  readonly #most: number
  readonly #seed = crypto.getRandomValues(new Uint32Array(1))[0] as number
  #size = 0
  #capacity = FIRST_CAPACITY
  /** Five words an entry: the address, then direction | class << 8 | marks << 16 | vector << 24. */
  #keys = new Uint32Array(FIRST_CAPACITY * 5)
  #flows = new Uint32Array(FIRST_CAPACITY)
  #packets = new Float64Array(FIRST_CAPACITY)
  #bytes = new Float64Array(FIRST_CAPACITY)
  #moved = new Uint8Array(FIRST_CAPACITY)
  #movedList = new Int32Array(FIRST_CAPACITY)
  #movedCount = 0
  /** Packets per millisecond, and when that was noted. */
  #usual = new Float32Array(FIRST_CAPACITY)
  #usualAt = new Float64Array(FIRST_CAPACITY)
  #largest = 0
  #largestEntry = NONE
  #index = new Int32Array(FIRST_CAPACITY * 2).fill(NONE)

  constructor(most = DEFAULT_MOST) {
    this.#most = most
  }

  get size(): number {
    return this.#size
  }

  /** Entries that have moved since the last take. */
  get moved(): number {
    return this.#movedCount
  }

  /** Packets of the entry that has most since the last take, or 0 if none of them has come since the last call. */
  takeLargest(): number {
    const largest = this.#largest
    this.#largest = 0
    return largest
  }

  /** Packets per second that are usual for that entry; what has not moved for long has nothing that is. */
  largestUsualPps(now: number): number {
    const entry = this.#largestEntry
    return entry === NONE ? 0 : this.#faded(entry, now - (this.#usualAt[entry] as number)) * 1000
  }

  #faded(entry: number, idleMs: number): number {
    return (this.#usual[entry] as number) * Math.max(0, 1 - Math.max(0, idleMs) / USUAL_MS)
  }

  /** The entry of the address at `word` of `words` with this meta word, made if there is none; -1 when full. */
  entry(words: Uint32Array, word: number, meta: number): number {
    const a = words[word] as number
    const b = words[word + 1] as number
    const c = words[word + 2] as number
    const d = words[word + 3] as number
    const keys = this.#keys
    const mask = this.#index.length - 1
    let place = hash(this.#seed, a, b, c, d, meta) & mask
    for (;;) {
      const entry = this.#index[place] as number
      if (entry === NONE) break
      const key = entry * 5
      if (
        keys[key + 3] === d &&
        keys[key + 4] === meta &&
        keys[key] === a &&
        keys[key + 1] === b &&
        keys[key + 2] === c
      ) {
        return entry
      }
      place = (place + 1) & mask
    }
    if (this.#size === this.#capacity) {
      if (this.#capacity >= this.#most) return NONE
      this.#grow()
      return this.entry(words, word, meta)
    }
    const entry = this.#size++
    this.#index[place] = entry
    this.#keys[entry * 5] = a
    this.#keys[entry * 5 + 1] = b
    this.#keys[entry * 5 + 2] = c
    this.#keys[entry * 5 + 3] = d
    this.#keys[entry * 5 + 4] = meta
    return entry
  }

  /** Adds to an entry; to -1, counts as lost. */
  add(entry: number, flows: number, packets: number, bytes: number): void {
    if (entry < 0) {
      this.lostPackets += packets
      return
    }
    const sum = (this.#packets[entry] as number) + packets
    if (sum > this.#largest) {
      this.#largest = sum
      this.#largestEntry = entry
    }
    this.#flows[entry] = (this.#flows[entry] as number) + flows
    this.#packets[entry] = sum
    this.#bytes[entry] = (this.#bytes[entry] as number) + bytes
    if (this.#moved[entry] === 0) {
      this.#moved[entry] = 1
      this.#movedList[this.#movedCount++] = entry
    }
  }

  /**
   * At most `most` moved entries as HostDeltas.entries has them; they count from zero again. `now` is in milliseconds, monotonic;
   * `elapsedMs` is what they cover.
   */
  take(most: number, now: number, elapsedMs: number): Buffer {
    const weight = Math.min(1, elapsedMs / USUAL_MS)
    const count = Math.min(most, this.#movedCount)
    const buffer = Buffer.allocUnsafeSlow(count * DELTA_SIZE)
    const words = new Uint32Array(buffer.buffer, 0, count * DELTA_WORDS)
    for (let i = 0; i < count; i++) {
      const entry = this.#movedList[--this.#movedCount] as number
      const at = i * DELTA_WORDS
      const key = entry * 5
      words[at] = this.#keys[key] as number
      words[at + 1] = this.#keys[key + 1] as number
      words[at + 2] = this.#keys[key + 2] as number
      words[at + 3] = this.#keys[key + 3] as number
      words[at + 4] = this.#keys[key + 4] as number
      words[at + 5] = this.#flows[entry] as number
      const packets = this.#packets[entry] as number
      words[at + 6] = packets % TWO_32
      words[at + 7] = packets / TWO_32
      const bytes = this.#bytes[entry] as number
      words[at + 8] = bytes % TWO_32
      words[at + 9] = bytes / TWO_32
      if (elapsedMs > 0) {
        const usual = this.#faded(entry, now - (this.#usualAt[entry] as number) - elapsedMs)
        this.#usual[entry] = usual + (packets / elapsedMs - usual) * weight
        this.#usualAt[entry] = now
      }
      this.#flows[entry] = 0
      this.#packets[entry] = 0
      this.#bytes[entry] = 0
      this.#moved[entry] = 0
    }
    return buffer
  }

  /** Forgets entries that do not move any more. Only when nothing waits to be taken; entry numbers change. */
  reset(): void {
    if (this.#movedCount > 0) return
    this.#size = 0
    this.#usual.fill(0)
    this.#largestEntry = NONE
    this.generation++
    this.#index.fill(NONE)
  }

  #grow(): void {
    const capacity = this.#capacity * 2
    this.#capacity = capacity
    this.#keys = copyInto(new Uint32Array(capacity * 5), this.#keys)
    this.#flows = copyInto(new Uint32Array(capacity), this.#flows)
    this.#packets = copyInto(new Float64Array(capacity), this.#packets)
    this.#bytes = copyInto(new Float64Array(capacity), this.#bytes)
    this.#moved = copyInto(new Uint8Array(capacity), this.#moved)
    this.#movedList = copyInto(new Int32Array(capacity), this.#movedList)
    this.#usual = copyInto(new Float32Array(capacity), this.#usual)
    this.#usualAt = copyInto(new Float64Array(capacity), this.#usualAt)
    this.#index = new Int32Array(capacity * 2).fill(NONE)
    const mask = this.#index.length - 1
    const keys = this.#keys
    for (let entry = 0; entry < this.#size; entry++) {
      const key = entry * 5
      let place =
        hash(
          this.#seed,
          keys[key] as number,
          keys[key + 1] as number,
          keys[key + 2] as number,
          keys[key + 3] as number,
          keys[key + 4] as number,
        ) & mask
      while (this.#index[place] !== NONE) place = (place + 1) & mask
      this.#index[place] = entry
    }
  }
}

function copyInto<T extends Uint8Array | Uint32Array | Int32Array | Float32Array | Float64Array>(
  larger: T,
  from: T,
): T {
  larger.set(from)
  return larger
}

function hash(seed: number, a: number, b: number, c: number, d: number, meta: number): number {
  let h = Math.imul(seed ^ a, 0x9e3779b1)
  h = Math.imul(h ^ (h >>> 15) ^ b, 0x85ebca77)
  h = Math.imul(h ^ (h >>> 13) ^ c, 0xc2b2ae3d)
  h = Math.imul(h ^ (h >>> 16) ^ d, 0x27d4eb2f)
  h = Math.imul(h ^ (h >>> 15) ^ meta, 0x165667b1)
  return h ^ (h >>> 16)
}
