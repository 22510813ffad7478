// SPDX-License-Identifier: Apache-2.0
import { formatAddress } from '@flowdam/common'
import { decodeRecord, type Flow, IFACE_EGRESS, RECORD_SIZE, RecordOffset } from '@flowdam/proto'
import type { BatchOrigin } from '../../contracts.js'
import type { SourceRegistry } from '../../sources/registry.js'
import { RECORD_WORDS } from './matcher.js'

const FIRST_MS = RecordOffset.firstMs / 4

/** Records copied aside until somebody has time for them; so many and no more. Putting one there allocates nothing. */
export class RecordShelf {
  readonly #words: Uint32Array
  readonly #bytes: Uint8Array
  readonly #origins: (BatchOrigin | undefined)[]
  readonly #epochStarts: Float64Array
  #used = 0

  constructor(capacity: number) {
    this.#words = new Uint32Array(capacity * RECORD_WORDS)
    this.#bytes = new Uint8Array(this.#words.buffer)
    this.#origins = new Array<BatchOrigin | undefined>(capacity).fill(undefined)
    this.#epochStarts = new Float64Array(capacity)
  }

  get used(): number {
    return this.#used
  }

  /** The record at words[at …]; the caller looks whether there is room. `limitMs`: greatest first_ms that can be true. */
  put(words: Uint32Array, at: number, origin: BatchOrigin, epochStartUnixMs: number, limitMs: number): void {
    const place = this.#used++
    const to = place * RECORD_WORDS
    for (let word = 0; word < RECORD_WORDS; word++) this.#words[to + word] = words[at + word] as number
    if ((words[at + FIRST_MS] as number) > limitMs) this.#words[to + FIRST_MS] = limitMs
    this.#origins[place] = origin
    this.#epochStarts[place] = epochStartUnixMs
  }

  /** All of them as the API has flows, oldest first; then the shelf is empty. */
  take(sources: Pick<SourceRegistry, 'get'>): Flow[] {
    const flows = Array.from({ length: this.#used }, (_, place) => this.#flow(place, sources))
    this.#origins.fill(undefined, 0, this.#used)
    this.#used = 0
    return flows
  }

  #flow(place: number, sources: Pick<SourceRegistry, 'get'>): Flow {
    const { srcAddr, dstAddr, firstMs, iface, source, ...rest } = decodeRecord(
      this.#bytes,
      place * RECORD_SIZE,
    )
    const origin = this.#origins[place]
    const known = sources.get(origin?.sourceOfIface[iface] ?? 0)
    return {
      ...rest,
      timeUnixMs: Math.round((this.#epochStarts[place] as number) + firstMs),
      agent: origin?.id ?? '',
      // As the registry names what no interface table did.
      interface: known?.interface ?? `#${iface & ~IFACE_EGRESS}`,
      direction: iface & IFACE_EGRESS ? 'egress' : 'ingress',
      srcAddr: formatAddress(srcAddr),
      dstAddr: formatAddress(dstAddr),
    }
  }
}
