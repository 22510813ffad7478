// SPDX-License-Identifier: Apache-2.0
import { isBogon } from './bogon.js'
import { hashWords } from './hash.js'

const CAPACITY = 1024
const BUCKETS = 2048
/** Paths change by a hop or two while an attack lasts; more is another place under the same address. */
const HOPS_APART = 3

/** Shares of source addresses, 0 to 1. */
export interface SpoofSigns {
  /** Addresses that were looked at. */
  sampled: number
  /** Shows at least one of the signs. */
  suspect: number
  /** Sent a single packet in all. */
  singlePacket: number
  /** Its packets came over paths of different lengths, by TTL. */
  ttlDisagrees: number
  /** An address that nobody on the internet has. */
  bogon: number
}

/**
 * A uniform sample of different source addresses, however many packets each sends: those whose hash ends in `level`
 * zero bits, one bit more each time there are too many (adaptive sampling, Flajolet 1990). So the number of different
 * sources is about size × 2^level, exact up to 1024, and shares of the sample are shares of all sources.
 */
export class SourceSample {
  readonly #keys = new Uint32Array(BUCKETS * 4)
  readonly #hashes = new Uint32Array(BUCKETS)
  readonly #packets = new Float64Array(BUCKETS)
  readonly #hopsMin = new Uint8Array(BUCKETS)
  readonly #hopsMax = new Uint8Array(BUCKETS)
  readonly #bogon = new Uint8Array(BUCKETS)
  #size = 0
  #level = 0
  /** 2^level - 1. */
  #mask = 0

  add(w0: number, w1: number, w2: number, w3: number, packets: number, ttl: number): void {
    const hash = hashWords(w0, w1, w2, w3)
    if ((hash & this.#mask) !== 0) return
    const keys = this.#keys
    const hops = hopsOf(ttl)
    // The low bits are zero in the end, so the bucket comes from the high ones.
    let at = hash >>> 21
    while ((this.#packets[at] as number) > 0) {
      const key = at * 4
      if (keys[key + 3] === w3 && keys[key + 2] === w2 && keys[key + 1] === w1 && keys[key] === w0) {
        this.#packets[at] = (this.#packets[at] as number) + packets
        if (hops < (this.#hopsMin[at] as number)) this.#hopsMin[at] = hops
        if (hops > (this.#hopsMax[at] as number)) this.#hopsMax[at] = hops
        return
      }
      at = (at + 1) & (BUCKETS - 1)
    }
    keys[at * 4] = w0
    keys[at * 4 + 1] = w1
    keys[at * 4 + 2] = w2
    keys[at * 4 + 3] = w3
    this.#hashes[at] = hash
    this.#packets[at] = packets
    this.#hopsMin[at] = hops
    this.#hopsMax[at] = hops
    this.#bogon[at] = isBogon(w0, w1, w2, w3) ? 1 : 0
    if (++this.#size > CAPACITY) this.#halve()
  }

  /** Different sources; about. */
  get distinct(): number {
    return this.#size * 2 ** this.#level
  }

  signs(): SpoofSigns {
    const counts = { suspect: 0, singlePacket: 0, ttlDisagrees: 0, bogon: 0 }
    for (let at = 0; at < BUCKETS; at++) {
      const packets = this.#packets[at] as number
      if (packets === 0) continue
      const single = packets === 1
      const disagrees = (this.#hopsMax[at] as number) - (this.#hopsMin[at] as number) > HOPS_APART
      const bogon = this.#bogon[at] === 1
      if (single) counts.singlePacket++
      if (disagrees) counts.ttlDisagrees++
      if (bogon) counts.bogon++
      if (single || disagrees || bogon) counts.suspect++
    }
    const share = (count: number) => (this.#size > 0 ? count / this.#size : 0)
    return {
      sampled: this.#size,
      suspect: share(counts.suspect),
      singlePacket: share(counts.singlePacket),
      ttlDisagrees: share(counts.ttlDisagrees),
      bogon: share(counts.bogon),
    }
  }

  /** Happens once for each doubling of the number of sources. */
  #halve(): void {
    const kept = [...this.#packets.keys()].filter((at) => (this.#packets[at] as number) > 0)
    const old = {
      keys: this.#keys.slice(),
      hashes: this.#hashes.slice(),
      packets: this.#packets.slice(),
      hopsMin: this.#hopsMin.slice(),
      hopsMax: this.#hopsMax.slice(),
      bogon: this.#bogon.slice(),
    }
    while (this.#size > CAPACITY) {
      this.#level++
      this.#mask = 2 ** this.#level - 1
      this.#packets.fill(0)
      this.#size = 0
      for (const from of kept) {
        const hash = old.hashes[from] as number
        if ((hash & this.#mask) !== 0) continue
        let at = hash >>> 21
        while ((this.#packets[at] as number) > 0) at = (at + 1) & (BUCKETS - 1)
        this.#keys.set(old.keys.subarray(from * 4, from * 4 + 4), at * 4)
        this.#hashes[at] = hash
        this.#packets[at] = old.packets[from] as number
        this.#hopsMin[at] = old.hopsMin[from] as number
        this.#hopsMax[at] = old.hopsMax[from] as number
        this.#bogon[at] = old.bogon[from] as number
        this.#size++
      }
    }
  }
}

/** Systems begin at 64, 128 or 255. */
function hopsOf(ttl: number): number {
  return (ttl <= 64 ? 64 : ttl <= 128 ? 128 : 255) - ttl
}
