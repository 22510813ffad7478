// SPDX-License-Identifier: Apache-2.0
import type { MappedRange } from './shared-map.js'

/** What a map can do here; tests stand in plain memory for it. */
export interface MappableMemory {
  mapRange(byteOffset: number, size: number): MappedRange
}

export interface Window {
  /** The same memory twice. */
  words: Uint32Array
  bytes: Uint8Array
  /** Items that the window covers, from the block's first. */
  items: number
}

interface Held extends Window {
  range: MappedRange
}

const EMPTY: Window = { words: new Uint32Array(0), bytes: new Uint8Array(0), items: 0 }
/** Items of the smallest window: 64 records are a page. */
const SMALLEST = 4096

/**
 * The used beginning of each block of a big map, mapped as far as it is in use. The kernel counts every page of a
 * mapped BPF array as resident (remap_vmalloc_range inserts them all), 16 MB a CPU for flow_log alone, though an
 * ordinary epoch uses a tenth of it. Mapping 8 MB takes 0.6 ms, so windows grow by doubling.
 */
export class BlockWindows {
  readonly #memory: MappableMemory
  readonly #itemBytes: number
  readonly #itemsPerBlock: number
  readonly #held = new Map<number, Held>()

  constructor(memory: MappableMemory, itemBytes: number, itemsPerBlock: number) {
    this.#memory = memory
    this.#itemBytes = itemBytes
    this.#itemsPerBlock = itemsPerBlock
  }

  /** Bytes mapped now. */
  get mappedBytes(): number {
    let sum = 0
    for (const held of this.#held.values()) sum += held.items * this.#itemBytes
    return sum
  }

  /** A window over at least the first `items` of a block. Valid until the next call for the same block. */
  get(block: number, items: number): Window {
    const held = this.#held.get(block)
    if (held && held.items >= items) return held
    if (items === 0) return EMPTY
    let size = SMALLEST
    while (size < items) size *= 2
    return this.#map(block, Math.min(size, this.#itemsPerBlock))
  }

  /** Makes a window smaller that was far larger than the block's last use, or gives it back. */
  shrink(block: number, used: number): void {
    const held = this.#held.get(block)
    if (!held || (used > 0 && held.items <= Math.max(SMALLEST, used * 4))) return
    this.release(block)
  }

  release(block: number): void {
    const held = this.#held.get(block)
    if (!held) return
    this.#held.delete(block)
    held.range.unmap()
  }

  releaseAll(): void {
    for (const block of [...this.#held.keys()]) this.release(block)
  }

  #map(block: number, items: number): Held {
    this.release(block)
    const size = items * this.#itemBytes
    const range = this.#memory.mapRange(block * this.#itemsPerBlock * this.#itemBytes, size)
    const held = {
      words: new Uint32Array(range.buffer, range.byteOffset, size / 4),
      bytes: new Uint8Array(range.buffer, range.byteOffset, size),
      items,
      range,
    }
    this.#held.set(block, held)
    return held
  }
}
