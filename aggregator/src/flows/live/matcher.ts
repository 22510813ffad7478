// SPDX-License-Identifier: Apache-2.0
import { maskAddress, type Prefix } from '@flowdam/common'
import { RECORD_SIZE, RecordOffset } from '@flowdam/proto'
import { checkProtocolAndPort, prefixIn } from '../input.js'

/** What a caller wants to see, as the flow queries have it. */
export interface FlowFilter {
  host: string
  src: string
  dst: string
  protocol: number
  port: number
  agent: string
}

export const RECORD_WORDS = RECORD_SIZE / 4
const SRC = RecordOffset.srcAddr / 4
const DST = RecordOffset.dstAddr / 4
const PORTS = RecordOffset.srcPort / 4
const PROTOCOL = RecordOffset.protocol / 4

/** Which flow records a caller wants: a few comparisons of words for each. */
export class Matcher {
  readonly #agent: string
  readonly #protocol: number
  readonly #port: number
  readonly #host: Words | undefined
  readonly #src: Words | undefined
  readonly #dst: Words | undefined
  /** Of an agent that is wanted, every record is. */
  readonly takesAll: boolean

  /** Throws FD_QUERY_INVALID. */
  constructor(filter: FlowFilter) {
    const wordsIn = (field: 'host' | 'src' | 'dst') => {
      const text = filter[field]
      return text === '' ? undefined : wordsOf(prefixIn(field, text))
    }
    checkProtocolAndPort(filter)
    this.#agent = filter.agent
    this.#protocol = filter.protocol
    this.#port = filter.port
    this.#host = wordsIn('host')
    this.#src = wordsIn('src')
    this.#dst = wordsIn('dst')
    const addresses = this.#host ?? this.#src ?? this.#dst
    this.takesAll = filter.protocol === 0 && filter.port === 0 && addresses === undefined
  }

  wantsAgent(id: string): boolean {
    return this.#agent === '' || this.#agent === id
  }

  /** The first record from `from` on, before `to`, that it wants; `to` for none. */
  next(words: Uint32Array, from: number, to: number): number {
    if (this.takesAll) return from
    const protocol = this.#protocol
    const port = this.#port
    const host = this.#host
    const src = this.#src
    const dst = this.#dst
    for (let i = from; i < to; i++) {
      const at = i * RECORD_WORDS
      if (host !== undefined && !lies(host, words, at + SRC) && !lies(host, words, at + DST)) continue
      if (src !== undefined && !lies(src, words, at + SRC)) continue
      if (dst !== undefined && !lies(dst, words, at + DST)) continue
      if (protocol !== 0 && ((words[at + PROTOCOL] as number) & 0xff) !== protocol) continue
      if (port !== 0) {
        const ports = words[at + PORTS] as number
        if ((ports & 0xffff) !== port && ports >>> 16 !== port) continue
      }
      return i
    }
    return to
  }
}

/** A prefix as a record has addresses: four words, then their masks. */
type Words = Int32Array

function wordsOf({ bytes, length }: Prefix): Words {
  const words = new Uint8Array(32)
  words.set(bytes)
  words.set(maskAddress(new Uint8Array(16).fill(0xff), length), 16)
  return new Int32Array(words.buffer)
}

function lies(prefix: Words, words: Uint32Array, at: number): boolean {
  return (
    (((words[at + 3] as number) ^ (prefix[3] as number)) & (prefix[7] as number)) === 0 &&
    (((words[at + 2] as number) ^ (prefix[2] as number)) & (prefix[6] as number)) === 0 &&
    (((words[at + 1] as number) ^ (prefix[1] as number)) & (prefix[5] as number)) === 0 &&
    (((words[at] as number) ^ (prefix[0] as number)) & (prefix[4] as number)) === 0
  )
}
