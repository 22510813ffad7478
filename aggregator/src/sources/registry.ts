// SPDX-License-Identifier: Apache-2.0
import { closeSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { FlowdamError } from '@flowdam/common'
import { Boundary, IFACE_EGRESS, type InterfaceTable } from '@flowdam/proto'

export interface Source {
  /** 1-65535; the number in a stored record. 0 is "unknown". */
  number: number
  agent: string
  interface: string
  direction: 'ingress' | 'egress'
  boundary: 'external' | 'internal'
}

const JOURNAL = 'sources.jsonl'
const MAX_SOURCE = 65_535

/**
 * Numbers for (agent, interface, direction, boundary), so that a record names its origin in two bytes. A number is
 * never used again for something else: rows already spooled or stored refer to it. Durable as a journal of JSON
 * lines, written before the number is given out; read again at start.
 */
export class SourceRegistry {
  readonly #path: string
  readonly #byKey = new Map<string, Source>()
  readonly #byNumber: (Source | undefined)[] = [undefined]
  #fd: number | undefined

  /** `directory` must exist; the journal lives in it. */
  constructor(directory: string) {
    this.#path = join(directory, JOURNAL)
  }

  /** Reads the journal. A torn last line (power loss) is cut: its number was not given out yet. */
  start(): void {
    let text = ''
    try {
      text = readFileSync(this.#path, 'utf8')
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw this.#unreadable(cause)
    }
    const end = text.lastIndexOf('\n') + 1
    for (const line of text.slice(0, end).split('\n')) {
      if (line === '') continue
      const source = this.#parse(line)
      this.#byKey.set(keyOf(source), source)
      this.#byNumber[source.number] = source
    }
    this.#fd = openSync(this.#path, 'a')
    if (end < text.length) truncateSync(this.#path, Buffer.byteLength(text.slice(0, end)))
  }

  stop(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  get(number: number): Source | undefined {
    return this.#byNumber[number]
  }

  /** All sources, by number. */
  all(): Source[] {
    return this.#byNumber.filter((source) => source !== undefined)
  }

  /** Sources of these agents; what an insert of their records needs. */
  ofAgents(agents: ReadonlySet<string>): Source[] {
    return this.all().filter((source) => agents.has(source.agent))
  }

  /** The number of a source, new if need be. 0 when all 65 535 are taken: its flows stay, without a name. */
  number(agent: string, name: string, egress: boolean, boundary: Source['boundary']): number {
    const direction = egress ? 'egress' : 'ingress'
    const wanted = { number: this.#byNumber.length, agent, interface: name, direction, boundary } as const
    const known = this.#byKey.get(keyOf(wanted))
    if (known) return known.number
    if (wanted.number > MAX_SOURCE) return 0
    if (this.#fd === undefined)
      throw new FlowdamError('FD_SOURCES_STOPPED', 'the source registry is not running')
    writeSync(this.#fd, `${JSON.stringify(wanted)}\n`)
    fsyncSync(this.#fd)
    this.#byKey.set(keyOf(wanted), wanted)
    this.#byNumber.push(wanted)
    return wanted.number
  }

  /** Fills `table` (256 entries, by a record's iface byte) from what an agent said of its interfaces. */
  fill(table: Uint16Array, agent: string, interfaces: InterfaceTable): void {
    table.fill(0)
    for (const { index, name, boundary } of interfaces.interfaces) {
      const side = boundary === Boundary.BOUNDARY_INTERNAL ? 'internal' : 'external'
      table[index] = this.number(agent, name, false, side)
      table[index | IFACE_EGRESS] = this.number(agent, name, true, side)
    }
  }

  #parse(line: string): Source {
    try {
      const source = JSON.parse(line) as Source
      if (!Number.isInteger(source.number) || source.number !== this.#byNumber.length) {
        throw new Error(`number ${source.number}, expected ${this.#byNumber.length}`)
      }
      return source
    } catch (cause) {
      throw this.#unreadable(cause)
    }
  }

  #unreadable(cause: unknown): FlowdamError {
    return new FlowdamError('FD_SOURCES_UNREADABLE', `${this.#path} cannot be read`, {
      cause,
      remedy: 'restore the file: stored flows refer to its numbers',
    })
  }
}

function keyOf(source: Omit<Source, 'number'>): string {
  return JSON.stringify([source.agent, source.interface, source.direction, source.boundary])
}
