// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs'
import { FlowdamError } from '@flowdam/common'
import { MAX_IFACES } from '../kernel/layout.js'

/** Raised when this file's offsets change. */
const SEQUENCE_VERSION = 1
/** Words of 32 bits. */
const Word = { version: 0, ownerPid: 1 }
/** Numbers of 64 bits. */
const Double = { bootId: 1, nextSeq: 2, ownerStarted: 3 }
/** Names of interfaces by index: IFNAMSIZ bytes each, the last index is for unknown ones. */
const NAMES_AT = 1024
const NAME_BYTES = 16
const NAMES = MAX_IFACES - 1

/**
 * The agent's numbering: its boot, the seq of the next batch, and which index means which interface, for as long as
 * the boot lasts. Plain memory, or a pinned map that outlives us: then a boot goes on where a killed agent stopped.
 */
export class Sequence {
  static readonly BYTES = 4096
  readonly #words: Uint32Array
  readonly #doubles: Float64Array
  readonly #names: Buffer

  constructor(memory = new ArrayBuffer(Sequence.BYTES)) {
    this.#words = new Uint32Array(memory)
    this.#doubles = new Float64Array(memory)
    this.#names = Buffer.from(memory, NAMES_AT, NAMES * NAME_BYTES)
  }

  /** Of this version; false: zeros, or another agent's. */
  get readable(): boolean {
    return this.#words[Word.version] === SEQUENCE_VERSION
  }
  get bootId(): number {
    return this.#doubles[Double.bootId] as number
  }
  get nextSeq(): number {
    return this.#doubles[Double.nextSeq] as number
  }

  /** A new boot, from batch 1. */
  begin(bootId: number): void {
    this.#words.fill(0)
    this.#doubles[Double.bootId] = bootId
    this.#doubles[Double.nextSeq] = 1
    Atomics.store(this.#words, Word.version, SEQUENCE_VERSION)
  }

  /** The batches before `seq` are taken. Never back: a drain that is repeated ends where it ended before. */
  advance(seq: number): void {
    this.#doubles[Double.nextSeq] = Math.max(this.nextSeq, seq)
  }

  /** Gives these names, of an earlier boot, their indexes again; unless the wishes would then have no room. */
  remember(names: readonly string[], wishes: readonly string[]): void {
    if (this.names.length > 0 || new Set([...names, ...wishes]).size > NAMES) return
    for (const name of names) this.indexOf(name)
  }

  /** Index of an interface, a new one if it has none. FD_INTERFACE_TABLE. */
  indexOf(name: string): number {
    const names = this.names
    const known = names.indexOf(name)
    if (known >= 0) return known
    if (names.length === NAMES) {
      throw new FlowdamError('FD_INTERFACE_TABLE', `no index is left for interface ${name}`, {
        remedy: `this agent has counted on ${NAMES} interfaces: start anew after \`flowdam-agent --detach\``,
      })
    }
    this.#names.write(name, names.length * NAME_BYTES, 'latin1')
    return names.length
  }

  /** By index. */
  get names(): string[] {
    const names: string[] = []
    for (let at = 0; at < this.#names.length && this.#names[at] !== 0; at += NAME_BYTES) {
      names.push(this.#names.toString('latin1', at, at + NAME_BYTES).replace(/\0.*$/s, ''))
    }
    return names
  }

  /** The living process that uses it, 0 for none but us. */
  get owner(): number {
    const pid = this.#words[Word.ownerPid] as number
    if (pid === 0 || pid === process.pid) return 0
    return startedAt(pid) === this.#doubles[Double.ownerStarted] ? pid : 0
  }

  /** Two agents on the same maps would each send half of everything. FD_AGENT_RUNNING. */
  claim(): void {
    const owner = this.owner
    if (owner !== 0) {
      throw new FlowdamError('FD_AGENT_RUNNING', `agent process ${owner} uses these pinned maps`, {
        remedy: 'stop it first, or give this agent another `id` or `pin_path`',
      })
    }
    this.#doubles[Double.ownerStarted] = startedAt(process.pid)
    this.#words[Word.ownerPid] = process.pid
  }
}

/** When a process started, in ticks since the machine did (proc(5), field 22); 0 when there is none. */
function startedAt(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    // A zombie holds no maps.
    return fields[0] === 'Z' ? 0 : Number(fields[19])
  } catch {
    return 0
  }
}
