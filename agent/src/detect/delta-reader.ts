// SPDX-License-Identifier: Apache-2.0
import { DeltaDirection, IFACE_EGRESS, type Totals } from '@flowdam/proto'
import { RECORD_WORDS, RecordWord, readCounter } from '../count/words.js'
import type { FlowMaps } from '../kernel/flow-maps.js'
import { OVERFLOW_SLOTS } from '../kernel/layout.js'
import type { Window } from '../kernel/windows.js'
import { deltaMeta, SYN, TCP } from './classify.js'
import type { HostTable } from './host-table.js'
import type { Networks } from './networks.js'
import type { RecentFlows } from './recent-flows.js'
import { SlotMemory } from './slot-memory.js'

/** Role of a slot. Neither: on an internal interface, not counted here. */
const COUNTED = 1
const TOTAL_OUTGOING = 2
/** Host entries wanted. */
const TO_INCOMING = 4
const FROM_OUTGOING = 8
/** Entries not looked up yet. */
const UNRESOLVED = 0xffff

export interface DeltaReaderOptions {
  maps: FlowMaps
  hosts: HostTable
  recent: RecentFlows
  /** 1 for each iface byte (with and without the egress bit) of an external interface. */
  external: Uint8Array
}

/**
 * Reads the flow log while the kernel writes it: differences to the last read, added up per protected address. A
 * slot's addresses are looked up once, when it is first seen; a slot that did not move costs one load. Nothing is
 * sampled and nothing is lost: an epoch is read once more when nobody writes it any more.
 */
export class DeltaReader {
  /** Packets on external interfaces since the start. */
  packets = 0
  /**
   * Whether a flow never seen before is a new one. Who has just begun to look has seen none, and a thousand quiet
   * connections would look like an attack with a thousand new flows. Until then only a TCP SYN tells that a flow is new.
   */
  knowsFlows = false
  /** All packets on external interfaces since the last `takeTotals`. */
  #incoming: Totals = { packets: 0, bytes: 0, flows: 0 }
  #outgoing: Totals = { packets: 0, bytes: 0, flows: 0 }
  readonly #options: DeltaReaderOptions
  #networks: Networks
  #exemptRemote: Networks
  /** By parity, then part. */
  readonly #flows: SlotMemory[][]
  readonly #overflow: SlotMemory[][]

  constructor(options: DeltaReaderOptions, networks: Networks, exemptRemote: Networks) {
    this.#options = options
    this.#networks = networks
    this.#exemptRemote = exemptRemote
    const { flowParts, nrParts } = options.maps.geometry
    this.#flows = [memories(flowParts), memories(flowParts)]
    this.#overflow = [memories(nrParts), memories(nrParts)]
  }

  /** Protected networks and exempt remotes from now on; also for the flows that are already there. */
  setNetworks(networks: Networks, exemptRemote: Networks): void {
    this.#networks = networks
    this.#exemptRemote = exemptRemote
    for (const memory of [...this.#flows.flat(), ...this.#overflow.flat()]) memory.generation = -1
  }

  /**
   * Adds what the epoch of this parity got since the last read. Of flows never seen before it takes at most `mostNew`,
   * each of them costs 0.2 to 0.4 µs where a known one costs 4 ns (34 ns if it moved); false: there are more. `goOn`: only
   * these, after such a read.
   */
  read(parity: number, mostNew = Number.POSITIVE_INFINITY, goOn = false): boolean {
    const { maps, recent } = this.#options
    let left = mostNew
    let all = true
    const before = this.#incoming.packets + this.#outgoing.packets
    for (let part = 0; part < maps.geometry.nrParts; part++) {
      const used = maps.flowsUsed(parity, part)
      if (used > 0) {
        const memory = this.#flows[parity]?.[part] as SlotMemory
        const end = Math.min(used, memory.known + left)
        left -= Math.max(0, end - memory.known)
        if (end < used) {
          all = false
          // Room for all of them at once: to grow in steps is to move everything at each.
          memory.reserve(used)
          recent.expect(used - memory.known)
        }
        const window = maps.flows(parity, part, used)
        this.#readBlock(memory, window, goOn ? memory.known : 0, end, true)
      }
      if (!goOn && maps.hasOverflow(parity, part)) {
        const window = maps.overflow(parity, part)
        const memory = this.#overflow[parity]?.[part] as SlotMemory
        this.#readBlock(memory, window, 0, OVERFLOW_SLOTS, false)
      }
    }
    this.packets += this.#incoming.packets + this.#outgoing.packets - before
    return all
  }

  /** After the last read of an epoch that nobody writes any more: everything about it is forgotten. */
  forget(parity: number): void {
    for (const memory of this.#flows[parity] ?? []) memory.reset()
    for (const memory of this.#overflow[parity] ?? []) memory.reset()
  }

  takeTotals(): { incoming: Totals; outgoing: Totals } {
    const taken = { incoming: this.#incoming, outgoing: this.#outgoing }
    this.#incoming = { packets: 0, bytes: 0, flows: 0 }
    this.#outgoing = { packets: 0, bytes: 0, flows: 0 }
    return taken
  }

  #readBlock(
    memory: SlotMemory,
    { words, bytes }: Window,
    first: number,
    used: number,
    flows: boolean,
  ): void {
    memory.reserve(used)
    if (memory.generation !== this.#options.hosts.generation) this.#reclassify(memory, words, bytes)
    // A flow's slots are filled from 0 on; overflow's anywhere, so there all are known from the start.
    if (memory.known < used) {
      memory.packets.fill(0, memory.known, used)
      memory.bytes.fill(0, memory.known, used)
      memory.role.fill(0, memory.known, used)
    }
    const lastPackets = memory.packets
    let at = first * RECORD_WORDS + RecordWord.packets
    for (let slot = first; slot < used; slot++, at += RECORD_WORDS) {
      const packets = words[at] as number
      if (packets !== lastPackets[slot]) this.#count(memory, words, bytes, slot, packets, flows)
    }
    memory.known = used
  }

  #count(
    memory: SlotMemory,
    words: Uint32Array,
    bytes: Uint8Array,
    slot: number,
    packets: number,
    isFlow: boolean,
  ): void {
    const { hosts, recent } = this.#options
    const at = slot * RECORD_WORDS
    const last = memory.packets[slot] as number
    let newFlow = 0
    let toldFlow = 0
    if (last === 0) {
      // First sight. The slot is whole: the kernel counts it as used after it has written it.
      memory.role[slot] = this.#roleOf(words, bytes, at)
      memory.facts[slot] = UNRESOLVED
      if (isFlow && ((memory.role[slot] as number) & COUNTED) !== 0 && recent.add(words, at)) {
        newFlow = 1
        if (this.knowsFlows || hasSyn(words, at)) toldFlow = 1
      }
    }
    const role = memory.role[slot] as number
    memory.packets[slot] = packets
    if ((role & COUNTED) === 0) return
    const byteCount = readCounter(words, at + RecordWord.bytesLow)
    const addPackets = (packets - last) >>> 0
    const addBytes = byteCount - (memory.bytes[slot] as number)
    memory.bytes[slot] = byteCount

    const total = (role & TOTAL_OUTGOING) !== 0 ? this.#outgoing : this.#incoming
    total.packets += addPackets
    total.bytes += addBytes
    total.flows += newFlow
    if ((role & (TO_INCOMING | FROM_OUTGOING)) === 0) return

    const facts = words[at + RecordWord.facts] as number
    const signature = (facts & 0xff) | (((facts >>> 16) & 0xff) << 8)
    if (memory.facts[slot] !== signature) this.#resolve(memory, words, slot, role, signature)
    if ((role & TO_INCOMING) !== 0) {
      hosts.add(memory.incoming[slot] as number, toldFlow, addPackets, addBytes)
    }
    if ((role & FROM_OUTGOING) !== 0) {
      hosts.add(memory.outgoing[slot] as number, toldFlow, addPackets, addBytes)
    }
  }

  #roleOf(words: Uint32Array, bytes: Uint8Array, at: number): number {
    const iface = ((words[at + RecordWord.proto] as number) >>> 8) & 0xff
    if (this.#options.external[iface] === 0) return 0
    const toUs = this.#networks.has(words, bytes, at + RecordWord.dst)
    const fromUs = this.#networks.has(words, bytes, at + RecordWord.src)
    // Where both ends are ours, or neither, the way tells: who floods us with our own addresses as forged sources must
    // not have those banned as senders.
    const outgoing = toUs === fromUs ? (iface & IFACE_EGRESS) !== 0 : fromUs
    let role = COUNTED
    if (outgoing) role |= TOTAL_OUTGOING
    if (toUs && !outgoing && !this.#exemptRemote.has(words, bytes, at + RecordWord.src)) role |= TO_INCOMING
    if (fromUs && outgoing && !this.#exemptRemote.has(words, bytes, at + RecordWord.dst))
      role |= FROM_OUTGOING
    return role
  }

  #resolve(memory: SlotMemory, words: Uint32Array, slot: number, role: number, signature: number): void {
    const { hosts } = this.#options
    const at = slot * RECORD_WORDS
    const protocol = (words[at + RecordWord.proto] as number) & 0xff
    const ports = words[at + RecordWord.ports] as number
    const tcpFlags = signature & 0xff
    const marks = signature >>> 8
    memory.facts[slot] = signature
    if ((role & TO_INCOMING) !== 0) {
      const meta = deltaMeta(DeltaDirection.incoming, protocol, tcpFlags, marks, ports & 0xffff)
      memory.incoming[slot] = hosts.entry(words, at + RecordWord.dst, meta)
    }
    if ((role & FROM_OUTGOING) !== 0) {
      const meta = deltaMeta(DeltaDirection.outgoing, protocol, tcpFlags, marks, ports >>> 16)
      memory.outgoing[slot] = hosts.entry(words, at + RecordWord.src, meta)
    }
  }

  /** The networks or the host table changed: every known slot is looked up again. */
  #reclassify(memory: SlotMemory, words: Uint32Array, bytes: Uint8Array): void {
    for (let slot = 0; slot < memory.known; slot++) {
      if (memory.packets[slot] === 0) continue
      const had = (memory.role[slot] as number) & COUNTED
      const at = slot * RECORD_WORDS
      const role = this.#roleOf(words, bytes, at)
      if ((role & COUNTED) !== 0 && had === 0) {
        // Not followed until now: what it had before does not count as of this moment.
        memory.packets[slot] = words[at + RecordWord.packets] as number
        memory.bytes[slot] = readCounter(words, at + RecordWord.bytesLow)
      }
      memory.role[slot] = role
      memory.facts[slot] = UNRESOLVED
    }
    memory.generation = this.#options.hosts.generation
  }
}

function hasSyn(words: Uint32Array, at: number): boolean {
  return (
    ((words[at + RecordWord.proto] as number) & 0xff) === TCP &&
    ((words[at + RecordWord.facts] as number) & SYN) !== 0
  )
}

function memories(count: number): SlotMemory[] {
  return Array.from({ length: count }, () => new SlotMemory())
}
