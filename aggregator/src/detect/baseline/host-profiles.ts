// SPDX-License-Identifier: Apache-2.0
import { AddressTable, NO_ROW } from '../address-table.js'
import { RowMemory } from '../row-memory.js'
import { Profiles } from './profiles.js'

/** Profiles looked at for one that may give way. */
const PROBES = 64

/** Profiles by address. An address keeps its index while it has a profile. */
export class HostProfiles extends Profiles {
  readonly #table: AddressTable
  readonly #used: Uint8Array
  #hand = 0

  constructor(capacity: number, channels: number) {
    super(capacity, channels)
    this.#table = new AddressTable(new RowMemory(capacity, 0))
    this.#used = new Uint8Array(capacity)
  }

  get size(): number {
    return this.#table.size
  }

  get full(): boolean {
    return this.#table.full
  }

  /** Indices from here on were never in use. */
  get highWater(): number {
    return this.#table.highWater
  }

  /** Index of the address in words[at .. at + 3], or NO_ROW. */
  find(words: Uint32Array, at: number): number {
    return this.#table.size === 0 ? NO_ROW : this.#table.find(words, at)
  }

  indexOf(address: Uint8Array): number {
    return this.find(wordsOf(address), 0)
  }

  /** An empty profile; NO_ROW when there is no room. */
  insert(address: Uint8Array, hour: number): number {
    const index = this.#table.insert(wordsOf(address), 0)
    if (index === NO_ROW) return NO_ROW
    this.clear(index, hour)
    this.#used[index] = 1
    return index
  }

  remove(index: number): void {
    this.#table.remove(index)
    this.#used[index] = 0
  }

  isUsed(index: number): boolean {
    return this.#used[index] === 1
  }

  address(index: number): Uint8Array {
    return this.#table.address(index)
  }

  /** One that has not learned enough and whose address was idle for an hour; some are looked at, in turn. */
  findNewcomer(hour: number, isReady: (index: number) => boolean): number {
    for (let probe = 0; probe < PROBES; probe++) {
      const index = this.#hand++ % this.capacity
      if (!this.isUsed(index) || isReady(index)) continue
      if (hour - (this.active[index] as number) >= 1) return index
    }
    return NO_ROW
  }

  *indices(): IterableIterator<number> {
    for (let index = 0; index < this.highWater; index++) if (this.isUsed(index)) yield index
  }
}

/** An address as it lies in a delta entry. */
export function wordsOf(address: Uint8Array): Uint32Array {
  return new Uint32Array(address.slice().buffer)
}
