// SPDX-License-Identifier: Apache-2.0
import { formatAddress, formatPrefix } from '@flowdam/common'
import { decodeRecord, Mark, RECORD_SIZE } from '@flowdam/proto'
import type { Direction } from '../../detect/slots.js'
import { type AttackDetail, type NamedAmount, type SampleFlow, TOP } from './detail.js'
import { SourceSample } from './source-sample.js'
import { type TopCount, TopCounts } from './top-counts.js'

/** A record's 32-bit words. */
export const RECORD_WORDS = RECORD_SIZE / 4
export const RecordWord = {
  src: 0,
  dst: 4,
  ports: 8,
  kinds: 9,
  bytes: 10,
  packets: 12,
  firstMs: 13,
  duration: 14,
  marks: 15,
} as const

const IPV4_WORD = 0xffff0000
const SIZES = [64, 128, 256, 512, 1024, 1500] as const
const TCP = 6
const FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR']
const PROTOCOLS = new Map([
  [1, 'icmp'],
  [2, 'igmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [47, 'gre'],
  [50, 'esp'],
  [58, 'icmpv6'],
  [132, 'sctp'],
])

/** What the flow records of one attack add up to, in fixed memory (some 170 KB). Adding a record allocates nothing. */
export class Evidence {
  readonly #direction: Direction
  /** Words of the far side and of ours in a record. */
  readonly #remote: number
  readonly #addresses = new TopCounts()
  readonly #prefixes = new TopCounts()
  readonly #remotePorts = new TopCounts()
  readonly #targetPorts = new TopCounts()
  readonly #sources = new SourceSample()
  /** Packets, then bytes, by number. */
  readonly #protocols = new Float64Array(512)
  readonly #flags = new Float64Array(512)
  readonly #ttls = new Float64Array(512)
  readonly #sizes = new Float64Array(SIZES.length + 1)
  #sizeMin = Number.POSITIVE_INFINITY
  #sizeMax = 0
  #flows = 0
  /** Of them, those that were looked at closely. */
  #looked = 0
  #packets = 0
  #bytes = 0
  #missingPackets = 0
  #missingBytes = 0
  readonly #sample = new Uint32Array(TOP * RECORD_WORDS)
  /** Start of the epoch of each sampled record. */
  readonly #sampleEpochs = new Float64Array(TOP)
  #random = 0x9e3779b9
  /** Records whose last packet came before are not of this attack. Milliseconds since 1970. */
  readonly sinceUnixMs: number
  /** The last record added, so that one that lies in two prefixes of the target is added once. */
  lastRecord = -1

  constructor(direction: Direction, sinceUnixMs: number) {
    this.#direction = direction
    this.#remote = direction === 'incoming' ? RecordWord.src : RecordWord.dst
    this.sinceUnixMs = sinceUnixMs
  }

  /**
   * The record at words[at …]. Flows, packets, bytes and what is missing are of every record, and so is the sample of
   * sources, which looks at few anyway. All else is told by those with a `weight`: how many records one stands for, 0 for
   * none.
   */
  add(words: Uint32Array, at: number, epochStartUnixMs: number, weight: number): void {
    const timing = words[at + RecordWord.duration] as number
    const lastMs = (words[at + RecordWord.firstMs] as number) + (timing & 0xffff)
    if (epochStartUnixMs + lastMs < this.sinceUnixMs) return
    const packets = words[at + RecordWord.packets] as number
    const bytes =
      (words[at + RecordWord.bytes] as number) + (words[at + RecordWord.bytes + 1] as number) * 2 ** 32
    if (packets === 0) return
    const last = words[at + RecordWord.marks] as number
    const missing = ((last >>> 16) & Mark.overflow) !== 0
    if (missing) {
      this.#missingPackets += packets
      this.#missingBytes += bytes
    } else {
      this.#flows++
      this.#packets += packets
      this.#bytes += bytes
      const remote = at + this.#remote
      this.#sources.add(
        words[remote] as number,
        words[remote + 1] as number,
        words[remote + 2] as number,
        words[remote + 3] as number,
        packets,
        last >>> 24,
      )
    }
    if (weight === 0) return
    const protocol = (words[at + RecordWord.kinds] as number) & 0xff
    note(this.#protocols, protocol, packets * weight, bytes * weight)
    if (!missing) this.#look(words, at, epochStartUnixMs, packets, bytes, weight)
  }

  #look(
    words: Uint32Array,
    at: number,
    epochStartUnixMs: number,
    packets: number,
    bytes: number,
    weight: number,
  ): void {
    const last = words[at + RecordWord.marks] as number
    this.#list(words, at, packets * weight, bytes * weight)
    if (((words[at + RecordWord.kinds] as number) & 0xff) === TCP) {
      note(this.#flags, last & 0xff, packets * weight, bytes * weight)
    }
    note(this.#ttls, last >>> 24, packets * weight, bytes * weight)
    const size = bytes / packets
    if (size < this.#sizeMin) this.#sizeMin = size
    if (size > this.#sizeMax) this.#sizeMax = size
    let bucket = 0
    while (bucket < SIZES.length && size > (SIZES[bucket] as number)) bucket++
    this.#sizes[bucket] = (this.#sizes[bucket] as number) + packets * weight
    this.#keep(words, at, epochStartUnixMs)
  }

  #list(words: Uint32Array, at: number, packets: number, bytes: number): void {
    const remote = at + this.#remote
    const w0 = words[remote] as number
    const w1 = words[remote + 1] as number
    const w2 = words[remote + 2] as number
    const w3 = words[remote + 3] as number
    this.#addresses.add(w0, w1, w2, w3, packets, bytes)
    if (w0 === 0 && w1 === 0 && w2 === IPV4_WORD) {
      this.#prefixes.add(w0, w1, w2, w3 & 0x00ffffff, packets, bytes)
    } else {
      this.#prefixes.add(w0, w1 & 0xffff, 0, 0, packets, bytes)
    }
    const ports = words[at + RecordWord.ports] as number
    const incoming = this.#remote === RecordWord.src
    const remotePort = incoming ? ports & 0xffff : ports >>> 16
    const targetPort = incoming ? ports >>> 16 : ports & 0xffff
    this.#remotePorts.add(remotePort, 0, 0, 0, packets, bytes)
    this.#targetPorts.add(targetPort, 0, 0, 0, packets, bytes)
  }

  /** A uniform sample of the records (reservoir). */
  #keep(words: Uint32Array, at: number, epochStartUnixMs: number): void {
    let place = this.#looked++
    if (place >= TOP) {
      let random = this.#random
      random ^= random << 13
      random ^= random >>> 17
      random ^= random << 5
      this.#random = random
      place = (random >>> 0) % this.#looked
      if (place >= TOP) return
    }
    for (let word = 0; word < RECORD_WORDS; word++) {
      this.#sample[place * RECORD_WORDS + word] = words[at + word] as number
    }
    this.#sampleEpochs[place] = epochStartUnixMs
  }

  snapshot(): AttackDetail {
    const known = this.#looked > 0
    const ttls = byNumber(this.#ttls, String)
    const values = ttls.map(({ name }) => Number(name))
    return {
      flows: this.#flows,
      packets: this.#packets,
      bytes: this.#bytes,
      missingPackets: this.#missingPackets,
      missingBytes: this.#missingBytes,
      sources: {
        addresses: named(this.#addresses, formatAddress),
        prefixes: named(this.#prefixes, (key) => formatPrefix(key, isIpv4Key(key) ? 120 : 48)),
        ports: named(this.#remotePorts, portName),
        distinct: this.#sources.distinct,
      },
      targetPorts: named(this.#targetPorts, portName),
      protocols: byNumber(this.#protocols, (number) => PROTOCOLS.get(number) ?? String(number)).slice(0, TOP),
      sizes: {
        min: known ? Math.round(this.#sizeMin) : 0,
        max: Math.round(this.#sizeMax),
        counts: [...this.#sizes].map((packets, index) => ({ upTo: SIZES[index] ?? 0, packets })),
      },
      tcpFlags: byNumber(this.#flags, flagNames).slice(0, TOP),
      ttl: {
        min: known ? Math.min(...values) : 0,
        max: known ? Math.max(...values) : 0,
        distinct: values.length,
        common: ttls.slice(0, TOP),
      },
      ...(this.#direction === 'incoming' && known ? { spoofing: this.#sources.signs() } : {}),
      sample: Array.from({ length: Math.min(TOP, this.#looked) }, (_, place) => this.#sampleFlow(place)),
    }
  }

  #sampleFlow(place: number): SampleFlow {
    const record = decodeRecord(new Uint8Array(this.#sample.buffer), place * RECORD_SIZE)
    const { srcAddr, dstAddr, srcPort, dstPort, protocol, packets, bytes, tcpFlags, ttl, marks } = record
    return {
      timeUnixMs: Math.round((this.#sampleEpochs[place] as number) + record.firstMs),
      durationMs: record.durationMs,
      srcAddr: formatAddress(srcAddr),
      dstAddr: formatAddress(dstAddr),
      ...{ srcPort, dstPort, protocol, packets, bytes, tcpFlags, ttl, marks },
    }
  }
}

/** Adds to packets by number, with bytes in the second half. */
function note(amounts: Float64Array, number: number, packets: number, bytes: number): void {
  const half = amounts.length / 2
  amounts[number] = (amounts[number] as number) + packets
  amounts[number + half] = (amounts[number + half] as number) + bytes
}

function named(counts: TopCounts, name: (key: Uint8Array) => string): NamedAmount[] {
  return counts.top(TOP).map(({ key, packets, bytes }: TopCount) => ({ name: name(key), packets, bytes }))
}

/** From packets by number with bytes behind them, most packets first. */
function byNumber(amounts: Float64Array, name: (number: number) => string): NamedAmount[] {
  const half = amounts.length / 2
  const found: NamedAmount[] = []
  for (let number = 0; number < half; number++) {
    const packets = amounts[number] as number
    if (packets > 0) found.push({ name: name(number), packets, bytes: amounts[number + half] as number })
  }
  return found.sort((a, b) => b.packets - a.packets)
}

function flagNames(flags: number): string {
  return FLAGS.filter((_, bit) => flags & (1 << bit)).join('|') || 'none'
}

function portName(key: Uint8Array): string {
  return String(new Uint32Array(key.buffer)[0])
}

function isIpv4Key(key: Uint8Array): boolean {
  return key[10] === 0xff && key[11] === 0xff && key[0] === 0
}
