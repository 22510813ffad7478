// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Logger } from '@flowdam/common'
import { type DiskSpace, reserveOf, spaceOf } from '../../disk/space.js'
import { cancellable } from '../cancel.js'
import {
  type Engine,
  failureOf,
  inDatabase,
  jsonLines,
  limitSettings,
  type QueryLimits,
  type QueryParams,
  quote,
  StoreFailure,
} from '../engine.js'
import { RECORD_STRUCTURE } from '../record-structure.js'
import { failstopLibrary } from './installed.js'
import type { ChildRequest, ChildResponse, ChildSettings } from './protocol.js'

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url))
const STOP_WITHIN_MS = 10_000

export interface EmbeddedOptions {
  /** Folder of the database. */
  path: string
  memoryBytes: number
  /** Of the disk, bytes; inserts and merges do not begin when less than half of it would be left. */
  reserve?: number | undefined
  log: Logger
}

/** ClickHouse's format JSON. */
interface Result<Row> {
  data: Row[]
  statistics: { rows_read: number }
}

interface Waiting {
  resolve: (text: string) => void
  reject: (error: StoreFailure) => void
}

/**
 * ClickHouse as a library (chdb) in a child process. A child that dies fails what it was doing as `uncertain`; the
 * next statement starts a new one.
 */
export class EmbeddedEngine implements Engine {
  readonly kind = 'embedded'
  readonly database = 'flowdam'
  readonly #options: EmbeddedOptions
  readonly #waiting = new Map<number, Waiting>()
  #child: ChildProcess | undefined
  #nextId = 1
  #nextLoader = 0
  readonly #idleLoaders: string[] = []
  #stopping = false
  #startedAtMs = 0
  #keepFreeBytes = 0
  #deaths = 0

  constructor(options: EmbeddedOptions) {
    this.#options = options
  }

  /** Process id of the child, for tests that end it. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** How often the process ended by itself, was killed, or could not write. */
  get deaths(): number {
    return this.#deaths
  }

  async start(): Promise<void> {
    const { path, reserve } = this.#options
    this.#stopping = false
    await mkdir(path, { recursive: true })
    this.#keepFreeBytes = Math.floor(reserveOf(reserve, (await spaceOf(path)).totalBytes) / 2)
    await this.#request({ lane: 'control', sql: 'SELECT 1' })
  }

  async stop(): Promise<void> {
    this.#stopping = true
    const child = this.#child
    if (!child) return
    const gone = once(child, 'close')
    child.send('stop', () => undefined)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
    await gone
    clearTimeout(timer)
  }

  async command(sql: string): Promise<void> {
    await this.#request({ lane: 'control', sql })
  }

  async background(sql: string): Promise<void> {
    await this.#request({ lane: 'background', sql })
  }

  /** A process that is not there merges nothing; and one that is started again begins no merge without room. */
  async allowMerges(allowed: boolean): Promise<void> {
    if (this.#child) await this.command(`SYSTEM ${allowed ? 'START' : 'STOP'} MERGES`)
  }

  space(): Promise<DiskSpace> {
    return spaceOf(this.#options.path)
  }

  async query<Row>(sql: string, params: QueryParams, limits: QueryLimits): Promise<Row[]> {
    const settings = Object.entries(limitSettings(limits)).map(([name, value]) => `${name} = ${value}`)
    // The library knows of no way to end a statement, and gives it an id of its own: it is found by its comment.
    const comment = `flowdam-${this.#nextId}`
    const run = () =>
      this.#request({
        lane: limits.patient ? 'patient' : 'query',
        sql: `${sql} SETTINGS ${settings.join(', ')}, max_threads = 1, log_comment = ${quote(comment)}`,
        params,
      })
    const text = await cancellable(limits.signal, run, () =>
      this.#request({
        lane: 'kill',
        sql: `KILL QUERY WHERE Settings['log_comment'] = ${quote(comment)} ASYNC`,
      }),
    )
    const { data, statistics } = JSON.parse(text) as Result<Row>
    limits.onRead?.(statistics.rows_read)
    return data
  }

  async insertRows(table: string, rows: readonly (object | string)[]): Promise<void> {
    if (rows.length === 0) return
    const sql = `INSERT INTO ${inDatabase(this.database, table)}`
    await this.#request({ lane: 'control', sql, rows: jsonLines(rows) })
  }

  async load(file: string, statement: (from: string) => string): Promise<void> {
    const lane = this.#idleLoaders.pop() ?? `load${this.#nextLoader++}`
    try {
      await this.#request({
        lane,
        sql: statement(`file(${quote(file)}, 'RowBinary', ${quote(RECORD_STRUCTURE)})`),
      })
    } finally {
      this.#idleLoaders.push(lane)
    }
  }

  #request(request: Omit<ChildRequest, 'id'>): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#stopping) return reject(new StoreFailure('retry', 'the store stops'))
      this.#child ??= this.#spawn()
      const child = this.#child
      const id = this.#nextId++
      this.#waiting.set(id, { resolve, reject })
      child.send({ id, ...request } satisfies ChildRequest, (error) => {
        if (!error) return
        this.#waiting.delete(id)
        reject(
          new StoreFailure('retry', 'the database process does not listen', {
            uncertain: true,
            cause: error,
          }),
        )
      })
    })
  }

  #spawn(): ChildProcess {
    const { path, memoryBytes, log } = this.#options
    const settings: ChildSettings = { path, memoryBytes, keepFreeBytes: this.#keepFreeBytes }
    const child = fork(CHILD, [JSON.stringify(settings)], {
      execArgv: [],
      // A thread for each lane, or a statement could not be ended while others fill them all.
      env: { ...process.env, UV_THREADPOOL_SIZE: '8', LD_PRELOAD: preload(process.env['LD_PRELOAD']) },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#startedAtMs = Date.now()
    let complaint = ''
    child.stderr?.on('data', (data: Buffer) => {
      complaint = (complaint + data.toString('utf8')).slice(-2000)
    })
    child.on('message', (response: ChildResponse) => {
      const waiting = this.#waiting.get(response.id)
      this.#waiting.delete(response.id)
      if ('error' in response) waiting?.reject(failureOf(response.error.code, response.error.message))
      else waiting?.resolve(response.text)
    })
    const ended = (why: string) => {
      if (this.#child !== child) return
      this.#child = undefined
      this.#idleLoaders.length = 0
      const cannotWrite = /flowdam-failstop: (.*)/.exec(complaint)?.[1]
      if (!this.#stopping) {
        this.#deaths++
        log.error(
          { why: cannotWrite ?? why, afterMs: Date.now() - this.#startedAtMs, stderr: complaint },
          'the database process ended',
        )
      }
      const left = [...this.#waiting.values()]
      this.#waiting.clear()
      for (const { reject } of left) {
        reject(
          new StoreFailure('retry', `the database process ended (${cannotWrite ?? why})`, {
            uncertain: true,
          }),
        )
      }
    }
    // Not 'exit': what it said last may come after that.
    child.once('close', (code, signal) => ended(signal ?? `exit ${code}`))
    child.once('error', (error) => ended(error.message))
    return child
  }
}

/** aggregator/native/failstop.c, beside what else somebody wants there. */
function preload(others: string | undefined): string {
  return [failstopLibrary() ?? '', others ?? ''].filter((path) => path !== '').join(':')
}
