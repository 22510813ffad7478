// SPDX-License-Identifier: Apache-2.0
import { hashWords } from './hash.js'

const WAYS = 8
const SETS = 64
const ENTRIES = WAYS * SETS

export interface TopCount {
  /** The key's 16 bytes. */
  key: Uint8Array
  packets: number
  bytes: number
}

/**
 * The keys with most packets, in fixed memory: Space-Saving (Metwally et al., 2005) within sets of eight. A key that
 * finds no room takes the place of the smallest in its set and inherits its weight, so that what is large stays however
 * many small ones pass by. What is told of a key is what was counted since it has been here: exact while there are few
 * keys, a lower bound in a flood of invented ones. Adding allocates nothing.
 */
export class TopCounts {
  readonly #keys = new Uint32Array(ENTRIES * 4)
  readonly #weights = new Float64Array(ENTRIES)
  readonly #packets = new Float64Array(ENTRIES)
  readonly #bytes = new Float64Array(ENTRIES)

  add(w0: number, w1: number, w2: number, w3: number, packets: number, bytes: number): void {
    const keys = this.#keys
    const weights = this.#weights
    const first = (hashWords(w0, w1, w2, w3) & (SETS - 1)) * WAYS
    let least = first
    for (let at = first; at < first + WAYS; at++) {
      const key = at * 4
      if (keys[key + 3] === w3 && keys[key + 2] === w2 && keys[key + 1] === w1 && keys[key] === w0) {
        weights[at] = (weights[at] as number) + packets
        this.#packets[at] = (this.#packets[at] as number) + packets
        this.#bytes[at] = (this.#bytes[at] as number) + bytes
        return
      }
      if ((weights[at] as number) < (weights[least] as number)) least = at
    }
    const key = least * 4
    keys[key] = w0
    keys[key + 1] = w1
    keys[key + 2] = w2
    keys[key + 3] = w3
    weights[least] = (weights[least] as number) + packets
    this.#packets[least] = packets
    this.#bytes[least] = bytes
  }

  /** Those with most packets, largest first. */
  top(count: number): TopCount[] {
    const used = [...this.#packets.keys()].filter((at) => (this.#packets[at] as number) > 0)
    used.sort((a, b) => (this.#packets[b] as number) - (this.#packets[a] as number))
    return used.slice(0, count).map((at) => ({
      key: new Uint8Array(this.#keys.slice(at * 4, at * 4 + 4).buffer),
      packets: this.#packets[at] as number,
      bytes: this.#bytes[at] as number,
    }))
  }
}
