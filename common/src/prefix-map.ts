// SPDX-License-Identifier: Apache-2.0
import { ADDRESS_BYTES, type Prefix } from './address.js'

const NONE = -1

/**
 * Longest-prefix match over 16-byte addresses: a binary trie in one typed array, so that a lookup allocates nothing.
 * Made for some thousands of prefixes that change rarely and are looked up often.
 */
export class PrefixMap<T> {
  /** Three words a node: child for bit 0, child for bit 1, index into #values or NONE. */
  #nodes = new Int32Array(3 * 64)
  #used = 0
  #values: T[] = []
  #prefixes: Prefix[] = []

  constructor(entries: Iterable<readonly [Prefix, T]> = []) {
    this.#addNode()
    for (const [prefix, value] of entries) this.set(prefix, value)
  }

  get size(): number {
    return this.#values.length
  }

  /** Adds a prefix or replaces its value. */
  set(prefix: Prefix, value: T): void {
    let node = 0
    for (let bit = 0; bit < prefix.length; bit++) {
      const side = ((prefix.bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1
      let next = this.#nodes[node * 3 + side] ?? NONE
      if (next === NONE) {
        next = this.#addNode()
        this.#nodes[node * 3 + side] = next
      }
      node = next
    }
    const known = this.#nodes[node * 3 + 2] ?? NONE
    if (known !== NONE) {
      this.#values[known] = value
      return
    }
    this.#nodes[node * 3 + 2] = this.#values.length
    this.#values.push(value)
    this.#prefixes.push(prefix)
  }

  /** The value of the longest prefix that holds the address at offset, or undefined. */
  lookup(bytes: Uint8Array, offset = 0): T | undefined {
    const index = this.lookupIndex(bytes, offset)
    return index === NONE ? undefined : this.#values[index]
  }

  /** The prefix that lookup would use. */
  lookupPrefix(bytes: Uint8Array, offset = 0): Prefix | undefined {
    const index = this.lookupIndex(bytes, offset)
    return index === NONE ? undefined : this.#prefixes[index]
  }

  /** Position of the longest match in order of insertion, -1 for none. */
  lookupIndex(bytes: Uint8Array, offset = 0): number {
    const nodes = this.#nodes
    let node = 0
    let best = nodes[2] ?? NONE
    for (let bit = 0; bit < ADDRESS_BYTES * 8; bit++) {
      const side = ((bytes[offset + (bit >> 3)] ?? 0) >> (7 - (bit & 7))) & 1
      node = nodes[node * 3 + side] ?? NONE
      if (node === NONE) break
      const value = nodes[node * 3 + 2] ?? NONE
      if (value !== NONE) best = value
    }
    return best
  }

  *[Symbol.iterator](): IterableIterator<[Prefix, T]> {
    for (const [index, prefix] of this.#prefixes.entries()) yield [prefix, this.#values[index] as T]
  }

  #addNode(): number {
    if ((this.#used + 1) * 3 > this.#nodes.length) {
      const larger = new Int32Array(this.#nodes.length * 2)
      larger.set(this.#nodes)
      this.#nodes = larger
    }
    const node = this.#used++
    this.#nodes.fill(NONE, node * 3, node * 3 + 3)
    return node
  }
}

/** A set of prefixes: is an address inside any of them? */
export class PrefixSet {
  #map = new PrefixMap<true>()

  constructor(prefixes: Iterable<Prefix> = []) {
    for (const prefix of prefixes) this.#map.set(prefix, true)
  }

  get size(): number {
    return this.#map.size
  }

  has(bytes: Uint8Array, offset = 0): boolean {
    return this.#map.lookupIndex(bytes, offset) !== NONE
  }

  /** Whether the whole prefix lies inside one of the set's prefixes. */
  covers(prefix: Prefix): boolean {
    for (const [candidate] of this.#map) if (contains(candidate, prefix)) return true
    return false
  }
}

/** Whether `inner` lies wholly inside `outer`. */
export function contains(outer: Prefix, inner: Prefix): boolean {
  if (inner.length < outer.length) return false
  for (let bit = 0; bit < outer.length; bit++) {
    const mask = 0x80 >> (bit & 7)
    if (((outer.bytes[bit >> 3] ?? 0) & mask) !== ((inner.bytes[bit >> 3] ?? 0) & mask)) return false
  }
  return true
}
