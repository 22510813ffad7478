// SPDX-License-Identifier: Apache-2.0
import { type Heartbeat, type Hello, IFACE_EGRESS, type InterfaceTable } from '@flowdam/proto'
import type { AgentInfo, BatchOrigin } from '../contracts.js'
import type { SourceRegistry } from '../sources/registry.js'
import { ClockSkew } from './skew.js'

/** An agent as ingest knows it, over all its streams. */
export class Agent implements AgentInfo, BatchOrigin {
  readonly id: string
  readonly sourceOfIface = new Uint16Array(256)
  readonly skew = new ClockSkew()
  connected = false
  bootId = 0
  version = ''
  hostname = ''
  kernel = ''
  interfaces: InterfaceTable = { interfaces: [] }
  lastSeenUnixMs = 0
  heartbeat: Heartbeat | undefined
  gapBatches = 0
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

  greet(hello: Hello): void {
    this.bootId = hello.bootId
    this.version = hello.version
    this.hostname = hello.hostname
    this.kernel = hello.kernel
    this.heartbeat = undefined
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

  /** How many batches are missing before this one. `known` is the newest durable one, 0 if the boot is new to us. */
  gapBefore(boot: number, seq: number, known: number): number {
    const last = this.#seen.get(boot) ?? known
    if (seq <= last) return 0
    this.#seen.set(boot, seq)
    if (this.#seen.size > 64) this.#seen.delete(Math.min(...this.#seen.keys()))
    return last === 0 ? 0 : seq - last - 1
  }
}
