// SPDX-License-Identifier: Apache-2.0
import {
  closeSync,
  fstatSync,
  fsync as fsyncCallback,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
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

const fsync = promisify(fsyncCallback)
const JOURNAL = 'sources.jsonl'
const MAX_SOURCE = 65_535
/** An agent has 128 interfaces at most, two directions each; the rest is for those that were renamed over the years. */
const MAX_OF_AGENT = 2048

/**
 * Numbers for (agent, interface, direction, boundary), so that a record names its origin in two bytes. A number is
 * never used again for something else: rows already spooled or stored refer to it. Durable as a journal of JSON
 * lines, written before the number is given out and synced before a row with it is committed; read again at start.
 */
export class SourceRegistry {
  readonly #path: string
  readonly #byKey = new Map<string, Source>()
  readonly #byNumber: (Source | undefined)[] = [undefined]
  readonly #ofAgent = new Map<string, number>()
  #fd: number | undefined
  #unsynced = false
  #syncing: Promise<void> | undefined

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
      this.#remember(source)
    }
    this.#fd = openSync(this.#path, 'a')
    if (end < text.length) truncateSync(this.#path, Buffer.byteLength(text.slice(0, end)))
  }

  stop(): void {
    if (this.#fd !== undefined) {
      if (this.#unsynced) fsyncSync(this.#fd)
      closeSync(this.#fd)
    }
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

  /**
   * The number of a source, new if need be. 0 when all 65 535, or those of one agent, are taken: its flows stay,
   * without a name.
   */
  number(agent: string, name: string, egress: boolean, boundary: Source['boundary']): number {
    const [number = 0] = this.#numbers([
      { agent, interface: name, direction: egress ? 'egress' : 'ingress', boundary },
    ])
    return number
  }

  /** Fills `table` (256 entries, by a record's iface byte) from what an agent said of its interfaces. */
  fill(table: Uint16Array, agent: string, interfaces: InterfaceTable): void {
    table.fill(0)
    const wanted = interfaces.interfaces.flatMap(({ name, boundary }) => {
      const side = boundary === Boundary.BOUNDARY_INTERNAL ? 'internal' : 'external'
      const source = { agent, interface: name, boundary: side } as const
      return [{ ...source, direction: 'ingress' } as const, { ...source, direction: 'egress' } as const]
    })
    const numbers = this.#numbers(wanted)
    interfaces.interfaces.forEach(({ index }, at) => {
      table[index] = numbers[2 * at] ?? 0
      table[index | IFACE_EGRESS] = numbers[2 * at + 1] ?? 0
    })
  }

  /** One write for all that are new. Their sync can wait and must: a disk that is slow now must not stop detection. */
  #numbers(wanted: readonly Omit<Source, 'number'>[]): number[] {
    let lines = ''
    const added: Source[] = []
    const numbers = wanted.map((one) => {
      const known = this.#byKey.get(keyOf(one))
      if (known) return known.number
      const number = this.#byNumber.length
      if (number > MAX_SOURCE || (this.#ofAgent.get(one.agent) ?? 0) >= MAX_OF_AGENT) return 0
      const source = { number, ...one }
      lines += `${JSON.stringify(source)}\n`
      added.push(source)
      this.#remember(source)
      return number
    })
    if (lines === '') return numbers
    try {
      this.#write(lines)
    } catch (error) {
      for (const source of added.reverse()) this.#forget(source)
      throw error
    }
    return numbers
  }

  /** Resolves when every number given out would survive a power loss. Before rows that have them are committed. */
  async sync(): Promise<void> {
    while (this.#unsynced && this.#fd !== undefined) {
      this.#unsynced = false
      this.#syncing = fsync(this.#fd).catch((error: unknown) => {
        this.#unsynced = true
        throw error
      })
      await this.#syncing
    }
    await this.#syncing
  }

  /** All or nothing: a number that is not in the journal must not be given out, and the other way round. */
  #write(lines: string): void {
    if (this.#fd === undefined)
      throw new FlowdamError('FD_SOURCES_STOPPED', 'the source registry is not running')
    const { size } = fstatSync(this.#fd)
    try {
      const bytes = Buffer.from(lines)
      // A disk that fills up takes a part, and no error tells.
      if (writeSync(this.#fd, bytes) !== bytes.length)
        throw new Error(`${this.#path}: no room for another line`)
      this.#unsynced = true
    } catch (error) {
      ftruncateSync(this.#fd, size)
      throw error
    }
  }

  #remember(source: Source): void {
    this.#byKey.set(keyOf(source), source)
    this.#byNumber[source.number] = source
    this.#ofAgent.set(source.agent, (this.#ofAgent.get(source.agent) ?? 0) + 1)
  }

  #forget(source: Source): void {
    this.#byKey.delete(keyOf(source))
    this.#byNumber.length = source.number
    this.#ofAgent.set(source.agent, (this.#ofAgent.get(source.agent) ?? 1) - 1)
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
