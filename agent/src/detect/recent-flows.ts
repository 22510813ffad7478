// SPDX-License-Identifier: Apache-2.0
import { webcrypto as crypto } from 'node:crypto'
import { RecordWord } from '../count/words.js'

const SMALLEST = 1 << 14
/** 4 MiB each; a flow that does not fit counts as new again in the next epoch. */
const LARGEST = 1 << 20
const KEY_WORDS = RecordWord.bytesLow

/**
 * Which flows were there lately, as 32-bit fingerprints in two generations. Without it each flow that lasts longer
 * than an epoch would look like a new one after each flip, and a host with many quiet connections like one under
 * attack. At 65 536 flows a new flow is mistaken for a known one once in 65 000.
 */
export class RecentFlows {
  readonly #seed = crypto.getRandomValues(new Uint32Array(1))[0] as number
  #current = new Uint32Array(SMALLEST)
  #previous = new Uint32Array(SMALLEST)
  #used = 0

  /** Makes room for so many more at once: growing in steps would move all of them at each. */
  expect(flows: number): void {
    const wanted = sizeFor(this.#used + flows)
    if (wanted > this.#current.length) this.#grow(wanted)
  }

  /** Remembers the flow whose record begins at `at`. Was it unknown? */
  add(words: Uint32Array, at: number): boolean {
    let hash = this.#seed
    for (let i = 0; i < KEY_WORDS; i++) {
      hash = Math.imul(hash ^ (words[at + i] as number), 0x9e3779b1)
      hash ^= hash >>> 15
    }
    // 0 is the empty place.
    const print = hash >>> 0 || 1
    const place = find(this.#current, print)
    if (this.#current[place] === print) return false
    // Room is made ahead: the place that was just found stays the right one.
    if (this.#used * 2 < this.#current.length) {
      this.#current[place] = print
      if (++this.#used * 2 >= this.#current.length) this.#grow(this.#current.length * 2)
    }
    return this.#previous[find(this.#previous, print)] !== print
  }

  /** Forgets what was not seen since the last call. Not at each early flip: those come as often as a flood wants. */
  rotate(): void {
    const wanted = sizeFor(this.#used)
    const reuse = this.#previous.length === wanted ? this.#previous.fill(0) : new Uint32Array(wanted)
    this.#previous = this.#current
    this.#current = reuse
    this.#used = 0
  }

  #grow(size: number): void {
    if (this.#current.length >= LARGEST) return
    const larger = new Uint32Array(size)
    for (const print of this.#current) if (print !== 0) larger[find(larger, print)] = print
    this.#current = larger
  }
}

function sizeFor(used: number): number {
  let size = SMALLEST
  while (size <= used * 2 && size < LARGEST) size *= 2
  return size
}

/** The fingerprint's place, or the empty one where it belongs. Never full: half of it stays empty. */
function find(table: Uint32Array, print: number): number {
  const mask = table.length - 1
  let place = (print ^ (print >>> 16)) & mask
  for (;;) {
    const there = table[place] as number
    if (there === print || there === 0) return place
    place = (place + 1) & mask
  }
}
