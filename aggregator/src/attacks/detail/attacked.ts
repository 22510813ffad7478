// SPDX-License-Identifier: Apache-2.0
import { maskAddress, type Prefix } from '@flowdam/common'
import { RECORD_SIZE } from '@flowdam/proto'
import type { Direction } from '../../detect/slots.js'
import { Effort } from './effort.js'
import { type Evidence, RECORD_WORDS, RecordWord } from './evidence.js'
import { hashWords } from './hash.js'

/** Targets of one direction and prefix length. */
interface Level {
  /** Words of the address that is ours. */
  own: number
  masks: Uint32Array
  keys: Uint32Array
  /** By key: several attacks may be about one prefix. */
  evidence: Evidence[][]
  /** Open addressing: 0 for empty, else index into evidence + 1. */
  buckets: Int32Array
}

interface Target {
  prefixes: readonly Prefix[]
  direction: Direction
  evidence: Evidence
}

/**
 * Which flow records are of an attack. Few targets, so the table is built anew with each change; a record costs one
 * look for each direction and prefix length that is attacked now, and nothing while there is no attack.
 */
export class Attacked {
  readonly #targets = new Map<string, Target>()
  #levels: Level[] = []
  /** For batches that the decoder put askew. */
  #aligned = new Uint32Array(0)
  #record = 0
  readonly #effort: Effort

  constructor(effort = new Effort()) {
    this.#effort = effort
  }

  get size(): number {
    return this.#targets.size
  }

  add(id: string, prefixes: readonly Prefix[], direction: Direction, evidence: Evidence): void {
    this.#targets.set(id, { prefixes, direction, evidence })
    this.#build()
  }

  remove(id: string): void {
    if (this.#targets.delete(id)) this.#build()
  }

  /** Adds each record on an external interface to the attacks that it belongs to. */
  scan(records: Uint8Array, external: Uint8Array, epochStartUnixMs: number): void {
    const count = Math.floor(records.length / RECORD_SIZE)
    const words = this.#wordsOf(records, count)
    const levels = this.#levels
    const effort = this.#effort
    effort.refill()
    for (let i = 0; i < count; i++) {
      const at = i * RECORD_WORDS
      let weight = -1
      for (let l = 0; l < levels.length; l++) {
        const found = find(levels[l] as Level, words, at)
        if (!found || external[((words[at + RecordWord.kinds] as number) >>> 8) & 0xff] !== 1) continue
        const record = this.#record + i
        for (let e = 0; e < found.length; e++) {
          const evidence = found[e] as Evidence
          if (evidence.lastRecord === record) continue
          evidence.lastRecord = record
          // Once for all attacks that it is of: taking turns, one of two would get every record and the other none.
          if (weight < 0) weight = effort.weigh()
          else if (weight > 0) effort.charge()
          evidence.add(words, at, epochStartUnixMs, weight)
        }
      }
    }
    this.#record += count
  }

  #wordsOf(records: Uint8Array, count: number): Uint32Array {
    const length = count * RECORD_WORDS
    if (records.byteOffset % 4 === 0) return new Uint32Array(records.buffer, records.byteOffset, length)
    if (this.#aligned.length < length) this.#aligned = new Uint32Array(length)
    new Uint8Array(this.#aligned.buffer).set(records.subarray(0, count * RECORD_SIZE))
    return this.#aligned
  }

  #build(): void {
    const levels = new Map<string, { prefix: Prefix; evidence: Evidence }[]>()
    for (const { prefixes, direction, evidence } of this.#targets.values()) {
      for (const prefix of prefixes) {
        const key = `${direction} ${prefix.length}`
        const level = levels.get(key) ?? []
        level.push({ prefix, evidence })
        levels.set(key, level)
      }
    }
    this.#levels = [...levels].map(([key, entries]) => {
      const direction = key.startsWith('incoming') ? 'incoming' : 'outgoing'
      return newLevel(direction, entries[0]?.prefix.length ?? 128, entries)
    })
  }
}

function newLevel(
  direction: Direction,
  length: number,
  entries: readonly { prefix: Prefix; evidence: Evidence }[],
): Level {
  const byKey = new Map<string, { prefix: Prefix; evidence: Evidence[] }>()
  for (const { prefix, evidence } of entries) {
    const known = byKey.get(prefix.text)
    if (known) known.evidence.push(evidence)
    else byKey.set(prefix.text, { prefix, evidence: [evidence] })
  }
  const keys = [...byKey.values()]
  const level: Level = {
    own: direction === 'incoming' ? RecordWord.dst : RecordWord.src,
    masks: wordsOf(maskAddress(new Uint8Array(16).fill(0xff), length)),
    keys: new Uint32Array(keys.length * 4),
    evidence: keys.map(({ evidence }) => evidence),
    buckets: new Int32Array(2 ** Math.ceil(Math.log2(keys.length * 4))),
  }
  for (const [index, { prefix }] of keys.entries()) {
    const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = wordsOf(prefix.bytes)
    level.keys.set([w0, w1, w2, w3], index * 4)
    let bucket = hashWords(w0, w1, w2, w3) & (level.buckets.length - 1)
    while (level.buckets[bucket] !== 0) bucket = (bucket + 1) & (level.buckets.length - 1)
    level.buckets[bucket] = index + 1
  }
  return level
}

function find(level: Level, words: Uint32Array, at: number): Evidence[] | undefined {
  const { masks, keys, buckets } = level
  const own = at + level.own
  const w0 = ((words[own] as number) & (masks[0] as number)) >>> 0
  const w1 = ((words[own + 1] as number) & (masks[1] as number)) >>> 0
  const w2 = ((words[own + 2] as number) & (masks[2] as number)) >>> 0
  const w3 = ((words[own + 3] as number) & (masks[3] as number)) >>> 0
  let bucket = hashWords(w0, w1, w2, w3) & (buckets.length - 1)
  for (;;) {
    const entry = buckets[bucket] as number
    if (entry === 0) return undefined
    const key = (entry - 1) * 4
    if (keys[key + 3] === w3 && keys[key + 2] === w2 && keys[key + 1] === w1 && keys[key] === w0) {
      return level.evidence[entry - 1]
    }
    bucket = (bucket + 1) & (buckets.length - 1)
  }
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.slice().buffer)
}
