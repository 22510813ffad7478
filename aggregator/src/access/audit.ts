// SPDX-License-Identifier: Apache-2.0
import { closeSync, fstatSync, openSync, renameSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { describeError, FlowdamError, type Logger } from '@flowdam/common'
import { appendWhole, LaterSync } from '../append.js'

export interface AuditEvent {
  by: string
  peer: string
  method: string
  /** The request's message; undefined when it was not read. */
  request?: unknown
  status: string
  /** Empty when it was done. */
  error: string
}

/** One line of the file. */
export interface AuditLine {
  id: string
  atUnixMs: number
  by: string
  peer: string
  method: string
  /** JSON. */
  request: string
  status: string
  error: string
  /** Refusals not written since the line before. */
  suppressed: number
  /** What the request claims. */
  who: string
}

export interface AuditFilter {
  limit: number
  /** Only lines older than the one with this id; empty for all. */
  before: string
  sinceUnixMs: number
  by: string
  refused: boolean
}

export interface AuditOptions {
  /** Rotated to FILE.1, FILE.2 … */
  file: string
  maxBytes: number
  /** Rotated files kept beside the current one. */
  keep: number
  log: Logger
  clock?: () => number
}

const MOST_REQUEST = 4096
const MOST_TEXT = 500
/** Refusals are somebody else's doing: they must not fill the disk or push the changes out of the files. */
const REFUSALS_PER_SECOND = 10
const REFUSALS_BURST = 100
const REFUSED = new Set(['UNAUTHENTICATED', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'INVALID_ARGUMENT'])

/**
 * Who changed what, and who was refused: JSON lines, in the kernel when record() returns and on the disk right after.
 * A disk that refuses stops nobody from lifting a ban: it is counted, logged and shown in /healthz.
 */
export class AuditLog {
  readonly #options: AuditOptions
  readonly #clock: () => number
  #fd: number | undefined
  #size = 0
  #sequence = 0
  readonly #sync = new LaterSync(
    () => this.#fd,
    (error) => this.#complain(error),
  )
  #allowance = REFUSALS_BURST
  #allowanceAt = 0
  #suppressed = 0
  #timer: NodeJS.Timeout | undefined
  /** Why the disk refuses, while it does. */
  lastError = ''
  written = 0
  failed = 0

  constructor(options: AuditOptions) {
    this.#options = options
    this.#clock = options.clock ?? Date.now
  }

  start(): void {
    const { file } = this.#options
    try {
      this.#fd = openSync(file, 'a', 0o640)
      this.#size = fstatSync(this.#fd).size
    } catch (cause) {
      throw new FlowdamError('FD_AUDIT_UNUSABLE', `cannot open the audit log ${file}`, {
        cause,
        remedy: "the directory 'state' must be writable for the aggregator",
      })
    }
    // Half a line of a process that was killed would spoil the next.
    if (this.#size > 0) this.#write('\n')
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#flushSuppressed()
    if (this.#fd === undefined) return
    closeSync(this.#fd)
    this.#fd = undefined
  }

  /** A change, done or not. */
  record(event: AuditEvent): void {
    this.#put(event)
  }

  /** Somebody was not let through; beyond some a second they are only counted in the line that follows. */
  refusal(event: AuditEvent): void {
    const now = this.#clock()
    const earned = ((now - this.#allowanceAt) / 1000) * REFUSALS_PER_SECOND
    this.#allowance = Math.min(REFUSALS_BURST, this.#allowance + Math.max(0, earned))
    this.#allowanceAt = now
    if (this.#allowance >= 1) {
      this.#allowance--
      this.#put(event)
      return
    }
    this.#suppressed++
    this.#timer ??= setTimeout(() => this.#flushSuppressed(), 1000).unref()
  }

  /** Newest first, and whether there are more. */
  async list(filter: AuditFilter): Promise<{ lines: AuditLine[]; more: boolean }> {
    const found: AuditLine[] = []
    for (let index = 0; index <= this.#options.keep; index++) {
      const text = await this.#read(index)
      if (text === undefined) break
      const lines = text.split('\n')
      for (let at = lines.length - 1; at >= 0; at--) {
        const line = parseLine(lines[at] as string)
        if (!line || (filter.before !== '' && line.id >= filter.before)) continue
        if (line.atUnixMs < filter.sinceUnixMs) return { lines: found, more: false }
        if (filter.by !== '' && line.by !== filter.by) continue
        if (filter.refused && !REFUSED.has(line.status)) continue
        if (found.length === filter.limit) return { lines: found, more: true }
        found.push(line)
      }
    }
    return { lines: found, more: false }
  }

  #flushSuppressed(): void {
    this.#timer = undefined
    if (this.#suppressed === 0) return
    const error = `${this.#suppressed} more refusals`
    this.#put({ by: 'unknown', peer: '', method: '', status: 'RESOURCE_EXHAUSTED', error })
  }

  #put({ by, peer, method, request, status, error }: AuditEvent): void {
    const atUnixMs = this.#clock()
    const line: AuditLine = {
      id: `${new Date(atUnixMs).toISOString().replaceAll(/[-:Z]/g, '')}-${String(this.#sequence++ % 1e6).padStart(6, '0')}`,
      atUnixMs,
      by,
      peer,
      method,
      request: request === undefined ? '' : presentRequest(request),
      status,
      error: error.slice(0, MOST_REQUEST),
      suppressed: this.#suppressed,
      who: claimOf(request),
    }
    this.#suppressed = 0
    this.#write(`${JSON.stringify(line)}\n`)
    this.#options.log.info({ by, peer, method, status, error: line.error }, 'audit')
  }

  #write(text: string): void {
    if (this.#fd === undefined) return
    const bytes = Buffer.from(text)
    try {
      if (this.#size > 0 && this.#size + bytes.length > this.#options.maxBytes) this.#rotate()
      appendWhole(this.#fd, bytes, this.#size)
      this.#size += bytes.length
      this.written++
      this.lastError = ''
      this.#sync.soon()
    } catch (error) {
      this.#complain(error)
    }
  }

  #rotate(): void {
    const { file, keep } = this.#options
    for (let index = keep - 1; index >= 0; index--) {
      try {
        renameSync(this.#name(index), this.#name(index + 1))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
    const fresh = openSync(file, keep === 0 ? 'w' : 'a', 0o640)
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = fresh
    this.#size = 0
  }

  #name(index: number): string {
    return index === 0 ? this.#options.file : `${this.#options.file}.${index}`
  }

  async #read(index: number): Promise<string | undefined> {
    try {
      return await readFile(this.#name(index), 'utf8')
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw new FlowdamError('FD_AUDIT_UNREADABLE', `cannot read ${this.#name(index)}`, { cause })
    }
  }

  #complain(error: unknown): void {
    this.failed++
    const text = describeError(error)
    if (this.lastError !== text) {
      this.#options.log.error({ err: text }, 'FD_AUDIT_WRITE: the audit log cannot be written')
    }
    this.lastError = text
  }
}

function parseLine(text: string): AuditLine | undefined {
  if (text === '') return undefined
  try {
    return JSON.parse(text) as AuditLine
  } catch {
    return undefined
  }
}

/** JSON without what is long or nobody's business: the text of a configuration may hold a password. */
function presentRequest(request: unknown): string {
  const text = JSON.stringify(request, (key, value: unknown) => {
    if (typeof value !== 'string') return value
    if (key === 'yaml' || value.length > MOST_TEXT) return `(${value.length} characters)`
    return value
  })
  return text.length > MOST_REQUEST ? `${text.slice(0, MOST_REQUEST)}…` : text
}

function claimOf(request: unknown): string {
  const who = (request as { who?: unknown } | undefined)?.who
  return typeof who === 'string' ? who.slice(0, MOST_TEXT) : ''
}
