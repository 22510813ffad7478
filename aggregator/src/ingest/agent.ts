// SPDX-License-Identifier: Apache-2.0
import { type Heartbeat, type Hello, IFACE_EGRESS, type InterfaceTable } from '@flowdam/proto'
import type { AgentInfo, BatchOrigin } from '../contracts.js'
import type { SourceRegistry } from '../sources/registry.js'
import { ClockSkew } from './skew.js'

/** Batches that are missing. */
export interface Gap {
  lost: number
  elsewhere: number
}

/** A month of batches at ten a second is 26 million. A gap beyond this counts as one batch: how many it is nobody knows. */
const MOST_MISSING = 1e8
const NO_GAP: Gap = { lost: 0, elsewhere: 0 }

/** An agent as ingest knows it, over all its streams. */
export class Agent implements AgentInfo, BatchOrigin {
  readonly id: string
  readonly sourceOfIface = new Uint16Array(256)
  readonly skew = new ClockSkew()
  connected = false
  /** Its records' times are corrected. */
  clockWrong = false
  bootId = 0
  version = ''
  hostname = ''
  kernel = ''
  interfaces: InterfaceTable = { interfaces: [] }
  lastSeenUnixMs = 0
  heartbeat: Heartbeat | undefined
  gapBatches = 0
  elsewhereBatches = 0
  replacedStreams = 0
  /** Newest host deltas taken of the agent's run. */
  deltasSeq = 0
  #runId = 0
  /** What the agent said at its last Hello of the boot that was counting. */
  #ackedSeq = 0
  readonly #sources: SourceRegistry
  /** Newest seq seen by boot, for gaps. */
  readonly #seen = new Map<number, number>()

  constructor(id: string, sources: SourceRegistry) {
    this.id = id
    this.#sources = sources
  }

  get clockSkewMs(): number {
    return this.skew.ms
  }

  /** Its clock was set: what was measured before says nothing any more. */
  heard(heartbeat: Heartbeat): void {
    if (this.heartbeat && heartbeat.clockSteps > this.heartbeat.clockSteps) this.skew.reset()
    this.heartbeat = heartbeat
  }

  greet(hello: Hello): void {
    this.bootId = hello.bootId
    this.version = hello.version
    this.hostname = hello.hostname
    this.kernel = hello.kernel
    this.heartbeat = undefined
    this.#ackedSeq = hello.ackedSeq
    if (hello.runId !== this.#runId || hello.runId === 0) this.deltasSeq = 0
    this.#runId = hello.runId
    this.setInterfaces(hello.interfaces ?? { interfaces: [] })
  }

  setInterfaces(table: InterfaceTable): void {
    this.interfaces = table
    this.#sources.fill(this.sourceOfIface, this.id, table)
  }

  learnIface(iface: number): void {
    const name = `#${iface & ~IFACE_EGRESS}`
    this.sourceOfIface[iface] = this.#sources.number(this.id, name, (iface & IFACE_EGRESS) !== 0, 'external')
  }

  /** Whether these host deltas are new: after a reconnect an agent sends again what was not confirmed. */
  takesDeltas(seq: number): boolean {
    if (this.#runId === 0) return true
    if (seq <= this.deltasSeq) return false
    this.deltasSeq = seq
    return true
  }

  /**
   * How many batches are missing before this one, by why: acknowledged by another aggregator (or by this one, before
   * its spool was deleted), or given up by the agent. `known` is the newest durable one, 0 if the boot is new to us.
   */
  gapBefore(boot: number, seq: number, known: number): Gap {
    const last = this.#seen.get(boot) ?? known
    if (seq <= last) return NO_GAP
    // Of an earlier boot we do not know what others have; what is new to us then begins where it begins.
    if (last === 0 && (boot !== this.bootId || this.#runId === 0)) {
      this.#saw(boot, seq)
      return NO_GAP
    }
    this.#saw(boot, seq)
    const elsewhere = boot === this.bootId ? Math.max(0, Math.min(this.#ackedSeq, seq - 1) - last) : 0
    const missing = seq - last - 1 - elsewhere
    const lost = missing > MOST_MISSING ? 1 : missing
    this.elsewhereBatches += elsewhere
    this.gapBatches += lost
    return { lost, elsewhere }
  }

  #saw(boot: number, seq: number): void {
    this.#seen.delete(boot)
    this.#seen.set(boot, seq)
    // Not the least: an agent whose clock was set back has a smaller boot_id than before.
    const [oldest] = this.#seen.keys()
    if (this.#seen.size > 64 && oldest !== undefined) this.#seen.delete(oldest)
  }
}
