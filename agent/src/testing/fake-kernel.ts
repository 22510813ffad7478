// SPDX-License-Identifier: Apache-2.0
//
// The counting programs in plain JavaScript over plain memory: what unit tests read instead of a kernel's maps.
import { encodeRecord, type FlowRecord, RECORD_SIZE } from '@flowdam/proto'
import { FlowMaps } from '../kernel/flow-maps.js'
import {
  CONTROL_SIZE,
  flowBlock,
  type Geometry,
  geometry,
  INDEX_BUCKET_SIZE,
  LEDGER_FIELDS,
  LEDGER_SIZE,
  type LedgerField,
  MAX_IFACES,
  OVERFLOW_SLOTS,
  PART_STATE_SIZE,
  PartStateOffset,
  partBlock,
  REASONS,
} from '../kernel/layout.js'
import type { MappableMemory } from '../kernel/windows.js'

export type FakePacket = Omit<FlowRecord, 'packets' | 'firstMs' | 'durationMs' | 'source' | 'dscp' | 'ttl'>

const OTHER_SLOTS = OVERFLOW_SLOTS - MAX_IFACES

/** Counts what is mapped. */
class FakeMap implements MappableMemory {
  readonly memory: ArrayBuffer
  mapped = 0

  constructor(size: number) {
    this.memory = new ArrayBuffer(size)
  }

  mapRange(byteOffset: number, size: number) {
    if (byteOffset + size > this.memory.byteLength) throw new RangeError('beyond the map')
    this.mapped += size
    const unmap = () => {
      this.mapped -= size
    }
    return { buffer: this.memory, byteOffset, unmap }
  }
}

export class FakeKernel {
  readonly geometry: Geometry
  readonly maps: FlowMaps
  readonly #log: FakeMap
  readonly #overflow: FakeMap
  readonly #index: FakeMap
  readonly #partStates: DataView
  readonly #ledgers: DataView
  readonly #slots = new Map<string, number>()
  /** Whether any packet ever went to overflow. */
  overflowEver = false

  constructor(nrCpus: number, flowSlots: number) {
    const g = geometry(nrCpus, flowSlots)
    this.geometry = g
    this.#log = new FakeMap(2 * g.flowParts * flowSlots * RECORD_SIZE)
    this.#overflow = new FakeMap(2 * g.nrParts * OVERFLOW_SLOTS * RECORD_SIZE)
    this.#index = new FakeMap(2 * g.flowParts * g.indexBuckets * INDEX_BUCKET_SIZE)
    const partStates = new ArrayBuffer(2 * g.nrParts * PART_STATE_SIZE)
    const ledgers = new ArrayBuffer(2 * g.nrParts * MAX_IFACES * LEDGER_SIZE)
    this.#partStates = new DataView(partStates)
    this.#ledgers = new DataView(ledgers)
    this.maps = new FlowMaps(g, {
      flow_log: this.#log,
      flow_index: this.#index,
      overflow_log: this.#overflow,
      part_states: partStates,
      ledgers,
      control: new ArrayBuffer(CONTROL_SIZE),
    })
  }

  /** Bytes of the big maps that are mapped. */
  get mapped(): number {
    return this.#log.mapped + this.#overflow.mapped + this.#index.mapped
  }

  /** Bytes of the index that are not zero: whether an epoch was cleared. */
  get indexDirt(): number {
    return new Uint8Array(this.#index.memory).reduce((sum, byte) => sum + (byte === 0 ? 0 : 1), 0)
  }

  /** A new epoch: the fake index forgets what the real one, cleared, would not find. */
  forget(parity: number): void {
    for (const key of this.#slots.keys()) if (key.startsWith(`${parity}/`)) this.#slots.delete(key)
  }

  /** What the program on this part's CPU does with a packet. */
  count(part: number, packet: FakePacket, parity = this.maps.parity): void {
    const bytes = packet.bytes
    this.#ledger(parity, part, packet.iface, 'seen', bytes)
    const key = `${parity}/${part}/${[...packet.srcAddr]}/${[...packet.dstAddr]}/${packet.srcPort}/${packet.dstPort}/${packet.protocol}/${packet.iface}/${packet.vlan}`
    const state = partBlock(this.geometry, parity, part) * PART_STATE_SIZE
    const used = this.#partStates.getUint32(state + PartStateOffset.flowsUsed, true)
    let slot = this.#slots.get(key)
    const stray = part >= this.geometry.flowParts
    if (slot === undefined && !stray && used < this.geometry.flowSlots) {
      slot = used
      this.#slots.set(key, slot)
      const at = (flowBlock(this.geometry, parity, part) * this.geometry.flowSlots + slot) * RECORD_SIZE
      this.#write(this.#log, at, packet)
      this.#partStates.setUint32(state + PartStateOffset.flowsUsed, used + 1, true)
      const buckets = flowBlock(this.geometry, parity, part) * this.geometry.indexBuckets * INDEX_BUCKET_SIZE
      new Uint8Array(this.#index.memory)[buckets + slot] = 1
    } else if (slot !== undefined) {
      const at = (flowBlock(this.geometry, parity, part) * this.geometry.flowSlots + slot) * RECORD_SIZE
      this.#add(this.#log, at, packet)
    } else {
      this.#overflows(parity, part, packet, stray)
      this.#ledger(parity, part, packet.iface, 'overflow', bytes)
      return
    }
    this.#ledger(parity, part, packet.iface, 'flow', bytes)
  }

  /** A packet that never becomes a record. */
  countNotIp(part: number, iface: number, bytes: number, parity = this.maps.parity): void {
    this.#ledger(parity, part, iface, 'seen', bytes)
    this.#ledger(parity, part, iface, 'notIp', bytes)
  }

  /** Makes the ledger lie, as a lost update would. */
  corrupt(part: number, iface: number, field: LedgerField, by: number, parity = this.maps.parity): void {
    const at = this.#ledgerAt(parity, part, iface, field)
    this.#ledgers.setBigUint64(at, this.#ledgers.getBigUint64(at, true) + BigInt(by), true)
  }

  #overflows(parity: number, part: number, packet: FakePacket, stray: boolean): void {
    this.overflowEver = true
    const block = partBlock(this.geometry, parity, part)
    const view = new DataView(this.#overflow.memory)
    const reduced = { ...packet, srcPort: 0, dstPort: 0, vlan: 0, marks: packet.marks | 16 }
    if (packet.iface & 0x80) reduced.dstAddr = new Uint8Array(16)
    else reduced.srcAddr = new Uint8Array(16)
    const key = `${parity}/${part}/o/${[...reduced.srcAddr]}/${[...reduced.dstAddr]}/${reduced.protocol}/${reduced.iface}/${reduced.marks}/${(packet.tcpFlags & 0x12) === 2}`
    let slot = stray ? undefined : this.#slots.get(key)
    const state = block * PART_STATE_SIZE
    const used = this.#partStates.getUint32(state + PartStateOffset.overflowUsed, true)
    if (slot === undefined && !stray && used < OTHER_SLOTS) {
      // Anywhere: spread them.
      slot = (used * 1663) % OTHER_SLOTS
      this.#slots.set(key, slot)
      this.#partStates.setUint32(state + PartStateOffset.overflowUsed, used + 1, true)
    }
    if (slot === undefined) {
      slot = OTHER_SLOTS + (packet.iface & 0x7f)
      reduced.srcAddr = new Uint8Array(16)
      reduced.dstAddr = new Uint8Array(16)
      reduced.protocol = 0
      this.#reason(state, stray ? 'stray_cpu' : 'overflow_full')
    }
    const at = (block * OVERFLOW_SLOTS + slot) * RECORD_SIZE
    if (view.getUint32(at + 48, true) === 0) this.#write(this.#overflow, at, reduced)
    else this.#add(this.#overflow, at, reduced)
  }

  #reason(state: number, reason: (typeof REASONS)[number]): void {
    const at = state + PartStateOffset.reasons + REASONS.indexOf(reason) * 8
    this.#partStates.setBigUint64(at, this.#partStates.getBigUint64(at, true) + 1n, true)
  }

  #write(map: FakeMap, at: number, packet: FakePacket): void {
    const rest = { packets: 1, firstMs: 5, durationMs: 0, source: 0, dscp: 0, ttl: 64 }
    encodeRecord({ ...packet, ...rest }, new Uint8Array(map.memory), at)
  }

  #add(map: FakeMap, at: number, packet: FakePacket): void {
    const view = new DataView(map.memory)
    view.setBigUint64(at + 40, view.getBigUint64(at + 40, true) + BigInt(packet.bytes), true)
    view.setUint32(at + 48, view.getUint32(at + 48, true) + 1, true)
    view.setUint8(at + 60, view.getUint8(at + 60) | packet.tcpFlags)
    view.setUint8(at + 62, view.getUint8(at + 62) | packet.marks)
  }

  #ledgerAt(parity: number, part: number, iface: number, field: LedgerField): number {
    const ledger = (partBlock(this.geometry, parity, part) * MAX_IFACES + (iface & 0x7f)) * LEDGER_SIZE
    return ledger + LEDGER_FIELDS.indexOf(field) * 8
  }

  #ledger(
    parity: number,
    part: number,
    iface: number,
    what: 'seen' | 'flow' | 'overflow' | 'notIp',
    bytes: number,
  ) {
    for (const [field, by] of [
      [`${what}Packets`, 1],
      [`${what}Bytes`, bytes],
    ] as const) {
      const at = this.#ledgerAt(parity, part, iface, field)
      this.#ledgers.setBigUint64(at, this.#ledgers.getBigUint64(at, true) + BigInt(by), true)
    }
  }
}
