// SPDX-License-Identifier: Apache-2.0
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describeError, type Logger } from '@flowdam/common'
import { appendWhole } from '../append.js'
import type { Attack } from './attack.js'

type Line = { type: 'put'; attack: Attack } | { type: 'end'; id: string }

/** Rewritten when it is so much larger than after the last time, and twice as large. */
const COMPACT_BYTES = 4 << 20

/**
 * The attacks under way, as an append-only file of JSON lines, so that a process that comes after a crash goes on with
 * them. Lines are gathered for a moment: a ban never waits for them. Without an fsync: a crash of the machine may cost
 * the last seconds of a record, which is no reason to disturb the disk that bans and flows need.
 */
export class AttackJournal {
  readonly #path: string
  readonly #log: Logger
  /** Under way, by id. */
  #open = new Map<string, Attack>()
  readonly #changed = new Map<string, Attack | undefined>()
  #fd: number | undefined
  #size = 0
  #compactAt = COMPACT_BYTES
  #flushing: NodeJS.Immediate | undefined
  #failing = false

  constructor(path: string, log: Logger) {
    this.#path = path
    this.#log = log
  }

  /** What was under way when the last process ended. What cannot be read is left out: attacks are no reason not to start. */
  start(): Attack[] {
    let text = ''
    try {
      mkdirSync(dirname(this.#path), { recursive: true })
      text = readFileSync(this.#path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#failed(error)
    }
    this.#open = replayAttacks(text)
    this.#compact()
    return [...this.#open.values()]
  }

  /** The attack as it is when the lines are written, a moment later. */
  put(attack: Attack): void {
    this.#open.set(attack.id, attack)
    this.#note(attack.id, attack)
  }

  end(id: string): void {
    if (this.#open.delete(id)) this.#note(id, undefined)
  }

  stop(): void {
    this.flush()
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  /** Writes what is gathered now. */
  flush(): void {
    clearImmediate(this.#flushing)
    this.#flushing = undefined
    if (this.#changed.size === 0) return
    if (this.#size > this.#compactAt || this.#fd === undefined) {
      this.#compact()
      return
    }
    let text = ''
    for (const [id, attack] of this.#changed) {
      const line: Line = attack ? { type: 'put', attack } : { type: 'end', id }
      text += `${JSON.stringify(line)}\n`
    }
    this.#changed.clear()
    const bytes = Buffer.from(text)
    try {
      appendWhole(this.#fd, bytes, this.#size)
      this.#size += bytes.length
      this.#failing = false
    } catch (error) {
      this.#failed(error)
      // The next time everything is written again.
      this.#compactAt = 0
    }
  }

  #note(id: string, attack: Attack | undefined): void {
    // An order of its own: what is put again moves to the end.
    this.#changed.delete(id)
    this.#changed.set(id, attack)
    this.#flushing ??= setImmediate(() => this.flush())
  }

  #compact(): void {
    this.#changed.clear()
    let text = ''
    for (const attack of this.#open.values()) text += `${JSON.stringify({ type: 'put', attack })}\n`
    try {
      writeFileSync(`${this.#path}.new`, text, { mode: 0o640 })
      // Before the rename: nothing may fail after it that would leave us writing to the old file.
      const fd = openSync(`${this.#path}.new`, 'a')
      try {
        renameSync(`${this.#path}.new`, this.#path)
      } catch (error) {
        closeSync(fd)
        throw error
      }
      if (this.#fd !== undefined) closeSync(this.#fd)
      this.#fd = fd
      this.#size = Buffer.byteLength(text)
      this.#compactAt = this.#size + Math.max(this.#size, COMPACT_BYTES)
      this.#failing = false
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    if (!this.#failing) {
      const err = describeError(error)
      this.#log.error({ err }, 'FD_ATTACKS_WRITE: the record of attacks under way cannot be kept')
    }
    this.#failing = true
  }
}

/** What was under way at the end of a journal's text. Torn and foreign lines are passed over. */
export function replayAttacks(text: string): Map<string, Attack> {
  const open = new Map<string, Attack>()
  for (const line of text.split('\n')) {
    try {
      const entry = JSON.parse(line) as Line
      if (entry.type === 'put') open.set(entry.attack.id, entry.attack)
      else if (entry.type === 'end') open.delete(entry.id)
    } catch {}
  }
  return open
}
