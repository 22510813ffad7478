// SPDX-License-Identifier: Apache-2.0
import { HASH_KEYS, LAYOUT_VERSION } from '../kernel/layout.js'

/** Raised when this file's offsets change, or the order in which a drain gives its batches. */
const STATE_VERSION = 1
/** Words of 32 bits. */
const Word = {
  complete: 0,
  stateVersion: 1,
  layoutVersion: 2,
  nrCpus: 3,
  flowSlots: 4,
  clearing: 6,
  hashKeys: 8,
}
/** Numbers of 64 bits, by parity. */
const Double = { firstSeq: 16, startUnixMs: 18, epochMs: 20 }

/** What fixes the size and the use of a set of maps. */
export interface MapsShape {
  nrCpus: number
  flowSlots: number
  hashKeys: Uint32Array
}

/**
 * What must be known about the two epochs of a set of maps besides the maps, so that whoever comes after a killed
 * agent sends the same batches under the same numbers: plain memory, or a pinned map that outlives us. Each field is
 * written before the step that it describes, so that a death between any two of them is harmless.
 */
export class EpochState {
  static readonly BYTES = 4096
  readonly #words: Uint32Array
  readonly #doubles: Float64Array

  constructor(memory = new ArrayBuffer(EpochState.BYTES)) {
    this.#words = new Uint32Array(memory)
    this.#doubles = new Float64Array(memory)
  }

  /** Made in full, by an agent that wrote it as we read it. */
  get readable(): boolean {
    return this.#words[Word.complete] === 1 && this.#words[Word.stateVersion] === STATE_VERSION
  }
  /** Whether the maps beside it are laid out as this agent knows them. */
  get layoutFits(): boolean {
    return this.readable && this.#words[Word.layoutVersion] === LAYOUT_VERSION
  }

  get shape(): MapsShape {
    return {
      nrCpus: this.#words[Word.nrCpus] as number,
      flowSlots: this.#words[Word.flowSlots] as number,
      hashKeys: this.#words.slice(Word.hashKeys, Word.hashKeys + HASH_KEYS),
    }
  }

  /** For new maps, when all of them are there. */
  complete({ nrCpus, flowSlots, hashKeys }: MapsShape): void {
    this.#words[Word.stateVersion] = STATE_VERSION
    this.#words[Word.layoutVersion] = LAYOUT_VERSION
    this.#words[Word.nrCpus] = nrCpus
    this.#words[Word.flowSlots] = flowSlots
    this.#words.set(hashKeys, Word.hashKeys)
    Atomics.store(this.#words, Word.complete, 1)
  }

  /** seq of the epoch's first batch; 0 while it is being written, and when there is nothing of it. */
  firstSeq(parity: number): number {
    return this.#doubles[Double.firstSeq + parity] as number
  }
  startUnixMs(parity: number): number {
    return this.#doubles[Double.startUnixMs + parity] as number
  }
  epochMs(parity: number): number {
    return this.#doubles[Double.epochMs + parity] as number
  }
  /** The epoch is durable elsewhere, and its maps are only partly cleared. */
  clearing(parity: number): boolean {
    return this.#words[Word.clearing + parity] !== 0
  }

  /** Before the flip to this parity. */
  begin(parity: number, startUnixMs: number): void {
    this.#doubles[Double.startUnixMs + parity] = startUnixMs
    this.#doubles[Double.firstSeq + parity] = 0
  }

  /** Before the flip away from this parity. */
  end(parity: number, firstSeq: number, epochMs: number): void {
    this.#doubles[Double.epochMs + parity] = epochMs
    this.#doubles[Double.firstSeq + parity] = firstSeq
  }

  startClearing(parity: number): void {
    Atomics.store(this.#words, Word.clearing + parity, 1)
  }

  cleared(parity: number): void {
    this.#doubles[Double.firstSeq + parity] = 0
    Atomics.store(this.#words, Word.clearing + parity, 0)
  }
}
