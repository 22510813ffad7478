// SPDX-License-Identifier: Apache-2.0
import {
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { describeError, FlowdamError, type Logger } from '@flowdam/common'
import { appendWhole, LaterSync } from '../append.js'
import type { Ban, Dropped, HookRun } from './ban.js'
import type { BrakeStatus } from './brake.js'
import { parseEntry } from './journal-entry.js'

/** `put` is the whole ban, as it was made, as it came to a further level, or as compaction found it; `brake` is about all; the others change one. */
export type JournalEntry =
  | { type: 'put'; ban: Ban }
  | { type: 'extend'; id: string; untilUnixMs: number; lastSeenUnixMs?: number }
  | {
      type: 'end'
      id: string
      unbannedUnixMs: number
      endedBy: string
      removedBy?: string
      endReason: string
      holdOffUntilUnixMs: number
      dropped?: Dropped
    }
  | { type: 'hook'; id: string; run: HookRun }
  | { type: 'settled'; id: string }
  | ({ type: 'brake' } & BrakeStatus)

const REPLACE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND

/** Rewritten when it has this many lines more than it had after the last time. */
const COMPACT_LINES = 2000

/**
 * Bans as an append-only file of JSON lines. A line is in the kernel before `append` returns, so a killed process
 * loses nothing, and is synced to the disk right after, without anybody waiting for it: the hook that blackholes the
 * victim must not wait for a disk.
 */
export class Journal {
  readonly #path: string
  readonly #log: Logger
  #fd: number | undefined
  /** Bytes of whole lines in the file. */
  #size = 0
  #linesSinceCompaction = 0
  readonly #sync = new LaterSync(
    () => this.#fd,
    (error) => this.#failed(error),
  )
  /** Why the disk refuses, while it does. */
  lastError = ''

  readonly #write: (fd: number, line: Buffer) => number

  /** `write` is for tests of full disks. */
  constructor(path: string, log: Logger, write: (fd: number, line: Buffer) => number = writeSync) {
    this.#path = path
    this.#log = log
    this.#write = write
  }

  /** Reads what is there. A torn last line is cut; an unreadable one in between is skipped, and the file kept beside. */
  open(): JournalEntry[] {
    let text = ''
    try {
      mkdirSync(dirname(this.#path), { recursive: true })
      try {
        text = readFileSync(this.#path, 'utf8')
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
      }
      this.#fd = openSync(this.#path, 'a', 0o640)
    } catch (cause) {
      throw new FlowdamError('FD_JOURNAL_UNUSABLE', `cannot open the ban journal ${this.#path}`, {
        cause,
        remedy: "the directory 'state' must be writable for the aggregator",
      })
    }
    const { entries, wholeBytes, unreadable } = parseJournal(text)
    if (unreadable > 0) {
      const aside = `${this.#path}.damaged`
      copyFileSync(this.#path, aside)
      this.#log.error({ unreadable, aside }, 'FD_JOURNAL_DAMAGED: lines of the ban journal cannot be read')
    }
    if (wholeBytes < Buffer.byteLength(text)) {
      this.#log.warn({ bytes: Buffer.byteLength(text) - wholeBytes }, 'ban journal: cut a torn last line')
      ftruncateSync(this.#fd, wholeBytes)
    }
    this.#size = wholeBytes
    this.#linesSinceCompaction = entries.length
    return entries
  }

  get wantsCompaction(): boolean {
    return this.#linesSinceCompaction > COMPACT_LINES || this.lastError !== ''
  }

  /** Never throws: a full disk must not keep a ban from being made. What failed to be written goes with the next compaction. */
  append(entry: JournalEntry): void {
    if (this.#fd === undefined) return
    const line = Buffer.from(`${JSON.stringify(entry)}\n`)
    try {
      appendWhole(this.#fd, line, this.#size, this.#write)
      this.#size += line.length
      this.#linesSinceCompaction++
      this.#sync.soon()
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Replaces the file by these lines alone. */
  compact(entries: Iterable<JournalEntry>): void {
    if (this.#fd === undefined) return
    const temporary = `${this.#path}.new`
    let text = ''
    for (const entry of entries) text += `${JSON.stringify(entry)}\n`
    let fd: number | undefined
    try {
      // What follows goes into this file by the same descriptor: after the rename nothing may fail that would leave us
      // writing to the old one, which no start would read.
      fd = openSync(temporary, REPLACE, 0o640)
      writeFileSync(fd, text)
      fsyncSync(fd)
      renameSync(temporary, this.#path)
      closeSync(this.#fd)
      this.#fd = fd
      fd = undefined
      this.#size = Buffer.byteLength(text)
      this.#linesSinceCompaction = 0
      syncFolder(dirname(this.#path))
      this.lastError = ''
    } catch (error) {
      this.#failed(error)
    } finally {
      // A full disk is tried every few seconds, perhaps for days.
      if (fd !== undefined) closeSync(fd)
    }
  }

  close(): void {
    if (this.#fd === undefined) return
    try {
      fsyncSync(this.#fd)
    } catch (error) {
      this.#failed(error)
    }
    closeSync(this.#fd)
    this.#fd = undefined
  }

  #failed(error: unknown): void {
    const text = describeError(error)
    if (this.lastError !== text)
      this.#log.error({ err: text }, 'FD_JOURNAL_WRITE: the ban journal cannot be written')
    this.lastError = text
  }
}

/** A rename is on the disk when its folder is. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The entries of a journal's text, and how many of its bytes are whole lines. */
export function parseJournal(text: string): {
  entries: JournalEntry[]
  wholeBytes: number
  unreadable: number
} {
  const entries: JournalEntry[] = []
  let unreadable = 0
  const end = text.lastIndexOf('\n') + 1
  const lines = text.slice(0, end).split('\n').slice(0, -1)
  let wholeBytes = Buffer.byteLength(text.slice(0, end))
  for (const [index, line] of lines.entries()) {
    try {
      entries.push(parseEntry(line))
    } catch {
      // After a power loss the last line may be there in length only.
      if (index === lines.length - 1) wholeBytes -= Buffer.byteLength(line) + 1
      else unreadable++
    }
  }
  return { entries, wholeBytes, unreadable }
}
