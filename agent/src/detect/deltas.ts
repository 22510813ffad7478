// SPDX-License-Identifier: Apache-2.0
import type { HostDeltas } from '@flowdam/proto'
import type { FlowMaps } from '../kernel/flow-maps.js'
import { DeltaReader } from './delta-reader.js'
import { HostTable } from './host-table.js'
import { Networks } from './networks.js'
import type { ReadSums } from './read-pace.js'
import { RecentFlows } from './recent-flows.js'

/** 960 KB a message; gRPC refuses 4 MB by default. */
const MOST_ENTRIES = 24_576
/** A flow that was not seen for so long (to twice as long) counts as new again. */
const FORGET_MS = 5000
/** So long a read keeps the event loop from others; flows never seen before are taken in steps of so many. */
const SLICE_MS = 4
const STEP_FLOWS = 1024
/** Below this many entries, remembering those that rest costs nothing. */
const RESET_ABOVE = 8192

export interface DeltasOptions {
  maps: FlowMaps
  external: Uint8Array
  networks: readonly string[]
  /** So long from the start on a flow that was never seen before need not be a new one; FORGET_MS unless a test says otherwise. */
  warmUpMs?: number
}

/** Host deltas from the log in place: read often, take when they can be sent; what is not taken adds up. */
export class Deltas {
  /** Milliseconds that the last read took, and the longest that any has kept the event loop from others. */
  readMs = 0
  longestSliceMs = 0
  readonly #maps: FlowMaps
  readonly #hosts = new HostTable()
  readonly #recent = new RecentFlows()
  readonly #reader: DeltaReader
  readonly #startedAt = performance.now()
  readonly #warmUpMs: number
  #networks: readonly string[]
  #exemptRemote: readonly string[] = []
  #packetsRead = 0
  #seq = 0
  #takenAt = this.#startedAt
  #rotatedAt = this.#startedAt

  constructor(options: DeltasOptions) {
    this.#maps = options.maps
    this.#warmUpMs = options.warmUpMs ?? FORGET_MS
    this.#networks = options.networks
    this.#reader = new DeltaReader(
      { maps: options.maps, hosts: this.#hosts, recent: this.#recent, external: options.external },
      new Networks(options.networks),
      new Networks([]),
    )
  }

  /** Protected networks now. */
  get networks(): readonly string[] {
    return this.#networks
  }
  get entries(): number {
    return this.#hosts.size
  }
  /** Packets of protected addresses for which even the table had no room. */
  get lostPackets(): number {
    return this.#hosts.lostPackets
  }

  /** FD_PREFIX_INVALID, and nothing changes. */
  setNetworks(networks: readonly string[], exemptRemote: readonly string[]): void {
    if (same(networks, this.#networks) && same(exemptRemote, this.#exemptRemote)) return
    this.#reader.setNetworks(new Networks(networks), new Networks(exemptRemote))
    this.#networks = networks
    this.#exemptRemote = exemptRemote
  }

  /** Takes what the epoch has so far as known: it was another process's to tell. */
  skip(): void {
    this.#reader.read(this.#maps.parity)
    this.#reader.takeTotals()
    while (this.#hosts.moved > 0) this.#hosts.take(MOST_ENTRIES, performance.now(), 0)
  }

  /** The next message is numbered behind this. */
  skipTo(seq: number): void {
    this.#seq = Math.max(this.#seq, seq)
  }

  /** In slices: in a flood each packet can be a flow never seen before. */
  async read(): Promise<ReadSums> {
    // The parity may change meanwhile; what is left of the old epoch is finish's.
    await this.#slices(() => this.#maps.parity)
    const packets = this.#reader.packets - this.#packetsRead
    this.#packetsRead += packets
    const largestUsualPps = this.#hosts.largestUsualPps(performance.now())
    return { packets, largest: this.#hosts.takeLargest(), largestUsualPps }
  }

  /** The end of an epoch: what it got since the last read. `exportIntervalMs` is how long epochs may last. */
  async finish(parity: number, exportIntervalMs: number): Promise<void> {
    await this.#slices(() => parity)
    this.#reader.forget(parity)
    const now = performance.now()
    if (now - this.#rotatedAt >= Math.max(FORGET_MS, exportIntervalMs) * 0.9) {
      this.#recent.rotate()
      this.#rotatedAt = now
    }
  }

  async #slices(parity: () => number): Promise<void> {
    let spentMs = 0
    let last: number | undefined
    this.#reader.knowsFlows = performance.now() - this.#startedAt >= this.#warmUpMs
    for (let all = false; !all; ) {
      if (last !== undefined) await breathe()
      const began = performance.now()
      let tookMs = 0
      while (!all && tookMs < SLICE_MS) {
        const now = parity()
        all = this.#reader.read(now, STEP_FLOWS, now === last)
        last = now
        tookMs = performance.now() - began
      }
      spentMs += tookMs
      this.longestSliceMs = Math.max(this.longestSliceMs, tookMs)
    }
    this.readMs = spentMs
  }

  /**
   * What happened since the last take, in one message or, when it is much, in several: the first has time and
   * totals, those that go on with its entries have covers_us 0. A message is due even if nothing moved.
   */
  take(): HostDeltas[] {
    const now = performance.now()
    const totals = this.#reader.takeTotals()
    const moved = this.#hosts.moved
    const messages: HostDeltas[] = []
    do {
      const first = messages.length === 0
      messages.push({
        seq: ++this.#seq,
        coversUs: first ? Math.round((now - this.#takenAt) * 1000) : 0,
        nowUnixMs: Date.now(),
        entries: this.#hosts.take(MOST_ENTRIES, now, now - this.#takenAt),
        incoming: first ? totals.incoming : undefined,
        outgoing: first ? totals.outgoing : undefined,
      })
    } while (this.#hosts.moved > 0)
    this.#takenAt = now
    if (this.#hosts.size > RESET_ABOVE && moved < this.#hosts.size / 4) this.#hosts.reset()
    return messages
  }
}

const breathe = () => new Promise<void>((resolve) => setImmediate(resolve))

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index])
}
