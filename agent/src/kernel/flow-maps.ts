// SPDX-License-Identifier: Apache-2.0
import {
  CONTROL_SIZE,
  ControlOffset,
  flowBlock,
  type Geometry,
  INDEX_BUCKET_SIZE,
  LEDGER_SIZE,
  MAX_IFACES,
  OVERFLOW_SLOTS,
  PART_STATE_SIZE,
  PartStateOffset,
  partBlock,
  REASONS,
} from './layout.js'
import { BlockWindows, type MappableMemory, type Window } from './windows.js'

const RECORD_BYTES = 64
const PART_STATE_WORDS = PART_STATE_SIZE / 4
const LEDGER_WORDS = LEDGER_SIZE / 4
const LEDGER_PART_WORDS = LEDGER_WORDS * MAX_IFACES

/** Words of two reasons in struct part_state. */
const OVERFLOW_FULL = PartStateOffset.reasons / 4 + REASONS.indexOf('overflow_full') * 2
const STRAY_CPU = PartStateOffset.reasons / 4 + REASONS.indexOf('stray_cpu') * 2

export interface MappableMap extends MappableMemory {
  memory(): ArrayBuffer
}

/** The memory behind each map. */
export interface FlowMemory {
  flow_log: MappableMemory
  flow_index: MappableMemory
  overflow_log: MappableMemory
  part_states: ArrayBuffer
  ledgers: ArrayBuffer
  control: ArrayBuffer
}

/** Reads and writes the counting programs' maps in place: which block is where, and how much of it is used. */
export class FlowMaps {
  readonly geometry: Geometry
  readonly control: Uint32Array
  readonly #partStates: Uint32Array
  readonly #ledgers: Uint32Array
  readonly #log: BlockWindows
  readonly #overflow: BlockWindows
  readonly #index: BlockWindows

  /** `from`: a loaded object or pinned maps. */
  static of(from: { map(name: string): MappableMap }, geometry: Geometry): FlowMaps {
    return new FlowMaps(geometry, {
      flow_log: from.map('flow_log'),
      flow_index: from.map('flow_index'),
      overflow_log: from.map('overflow_log'),
      part_states: from.map('part_states').memory(),
      ledgers: from.map('ledgers').memory(),
      control: from.map('control').memory(),
    })
  }

  constructor(geometry: Geometry, memory: FlowMemory) {
    this.geometry = geometry
    this.control = new Uint32Array(memory.control, 0, CONTROL_SIZE / 4)
    this.#partStates = new Uint32Array(memory.part_states)
    this.#ledgers = new Uint32Array(memory.ledgers)
    this.#log = new BlockWindows(memory.flow_log, RECORD_BYTES, geometry.flowSlots)
    this.#overflow = new BlockWindows(memory.overflow_log, RECORD_BYTES, OVERFLOW_SLOTS)
    this.#index = new BlockWindows(memory.flow_index, INDEX_BUCKET_SIZE, geometry.indexBuckets)
  }

  /** The epoch being written: 0 or 1. */
  get parity(): number {
    return this.control[ControlOffset.parity / 4] ?? 0
  }

  /** Starts the epoch of the other parity at this moment of CLOCK_MONOTONIC. */
  startEpoch(parity: number, at: { seconds: number; nanoseconds: number }): void {
    const startNs = new DataView(this.control.buffer, this.control.byteOffset)
    startNs.setBigUint64(
      ControlOffset.epochStartNs + parity * 8,
      BigInt(at.seconds) * 1_000_000_000n + BigInt(at.nanoseconds),
      true,
    )
    Atomics.store(this.control, ControlOffset.parity / 4, parity)
  }

  /** Slots of a part's flow log in use; 0 for the stray pair, which has none. */
  flowsUsed(parity: number, part: number): number {
    if (part >= this.geometry.flowParts) return 0
    const used = this.#partStates[partBlock(this.geometry, parity, part) * PART_STATE_WORDS] ?? 0
    return Math.min(used, this.geometry.flowSlots)
  }

  /** Whether anything of a part went to overflow. "Other" is used without counting in overflow_used. */
  hasOverflow(parity: number, part: number): boolean {
    const at = partBlock(this.geometry, parity, part) * PART_STATE_WORDS
    const state = this.#partStates
    return (
      (state[at + 1] ?? 0) > 0 || (state[at + OVERFLOW_FULL] ?? 0) > 0 || (state[at + STRAY_CPU] ?? 0) > 0
    )
  }

  /** A part's state as words; layout.PartStateOffset. */
  partState(parity: number, part: number): Uint32Array {
    const at = partBlock(this.geometry, parity, part) * PART_STATE_WORDS
    return this.#partStates.subarray(at, at + PART_STATE_WORDS)
  }

  /** A part's ledgers as words, LEDGER_SIZE bytes for each interface. */
  ledgers(parity: number, part: number): Uint32Array {
    const at = partBlock(this.geometry, parity, part) * LEDGER_PART_WORDS
    return this.#ledgers.subarray(at, at + LEDGER_PART_WORDS)
  }

  /** A window over a part's first `used` flow records. */
  flows(parity: number, part: number, used: number): Window {
    return this.#log.get(flowBlock(this.geometry, parity, part), used)
  }

  /** A part's whole overflow log, to be walked in full: used slots lie anywhere. */
  overflow(parity: number, part: number): Window {
    return this.#overflow.get(partBlock(this.geometry, parity, part), OVERFLOW_SLOTS)
  }

  /** Makes a part ready for its next epoch. Nobody may be writing to it: call after the grace period and the drain. */
  clear(parity: number, part: number): void {
    const used = this.flowsUsed(parity, part)
    if (used > 0) {
      const block = flowBlock(this.geometry, parity, part)
      this.#index.get(block, this.geometry.indexBuckets).words.fill(0)
      this.#index.release(block)
      this.#log.shrink(block, used)
    } else if (part < this.geometry.flowParts) {
      this.#log.release(flowBlock(this.geometry, parity, part))
    }
    if (this.hasOverflow(parity, part)) {
      this.overflow(parity, part).words.fill(0)
      this.#overflow.release(partBlock(this.geometry, parity, part))
    }
    this.ledgers(parity, part).fill(0)
    this.partState(parity, part).fill(0)
  }

  /** Bytes of the big maps that are mapped now. */
  get mappedBytes(): number {
    return this.#log.mappedBytes + this.#overflow.mappedBytes + this.#index.mappedBytes
  }

  /** Unmaps the big maps. The small ones go with the object. */
  close(): void {
    this.#log.releaseAll()
    this.#overflow.releaseAll()
    this.#index.releaseAll()
  }
}
