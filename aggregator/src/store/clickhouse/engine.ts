// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { type ClickHouseClient, ClickHouseError, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import type { DiskSpace } from '../../disk/space.js'
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

export interface ClickHouseOptions {
  /** http:// or https:// */
  url: string
  database: string
  user: string
  password: string
  /** A statement that is not answered in this time is tried again; an insert's token keeps it from happening twice. */
  timeoutMs?: number
}

const MOST_KILLS = 10
/** The roomiest of the disks that the table may lie on: as long as one has room, inserts find it. */
const SPACE = `SELECT toFloat64(free_space) AS freeBytes, toFloat64(total_space) AS totalBytes FROM system.disks
WHERE total_space > 0 AND name IN (SELECT arrayJoin(disks) FROM system.storage_policies WHERE policy_name IN
  (SELECT storage_policy FROM system.tables WHERE database = {db:String} AND name = {table:String}))
ORDER BY freeBytes DESC LIMIT 1`
const SPACE_LIMITS = { timeoutMs: 5000, maxMemoryBytes: 100e6 }

/** A ClickHouse server over HTTP. */
export class ClickHouseEngine implements Engine {
  readonly kind = 'clickhouse'
  readonly database: string
  readonly #options: ClickHouseOptions
  #client: ClickHouseClient | undefined
  #withoutDisks = false

  constructor(options: ClickHouseOptions) {
    this.#options = options
    this.database = options.database
  }

  async start(): Promise<void> {
    const { url, user, password, timeoutMs } = this.#options
    this.#client ??= createClient({
      url,
      username: user,
      password,
      request_timeout: timeoutMs ?? 60_000,
      application: 'flowdam',
      keep_alive: { enabled: true },
      // Every failure is thrown, and logged once by who asked.
      log: { level: ClickHouseLogLevel.OFF },
    })
    await this.command('SELECT 1')
  }

  async stop(): Promise<void> {
    await this.#client?.close()
    this.#client = undefined
  }

  async command(sql: string): Promise<void> {
    await this.#attempt(async (client) => {
      await client.command({ query: sql })
    })
  }

  async background(sql: string): Promise<void> {
    await this.#attempt(async (client) => {
      // Headers that come while it works keep the connection from timing out. With the first of them goes the status 200: what
      // fails after that is told in the body only.
      const { stream } = await client.exec({
        query: sql,
        clickhouse_settings: { send_progress_in_http_headers: 1, http_headers_progress_interval_ms: '10000' },
      })
      const said = await text(stream)
      const code = /^(?:__exception__\s+)?.*\bCode: (\d+)/s.exec(said)?.[1]
      if (code !== undefined) throw failureOf(Number(code), said.trim())
    })
  }

  query<Row>(sql: string, params: QueryParams, limits: QueryLimits): Promise<Row[]> {
    const id = randomUUID()
    const deaf = new AbortController()
    const run = () =>
      this.#attempt(async (client) => {
        const result = await client.query({
          query: sql,
          format: 'JSON',
          query_params: params,
          query_id: id,
          abort_signal: deaf.signal,
          clickhouse_settings: limitSettings(limits),
        })
        const { data, statistics } = await result.json<Row>()
        limits.onRead?.(statistics?.rows_read ?? 0)
        return data
      })
    return cancellable(limits.signal, run, (attempt) => {
      // Perhaps another server answers at this address, which does not know of it: its time limit is left.
      if (attempt > MOST_KILLS) deaf.abort()
      // Everybody may end what is their own.
      return this.command(`KILL QUERY WHERE query_id = ${quote(id)} ASYNC`)
    })
  }

  async allowMerges(): Promise<void> {}

  async space(table: string): Promise<DiskSpace | undefined> {
    if (this.#withoutDisks) return undefined
    try {
      const [disk] = await this.query<DiskSpace>(SPACE, { db: this.database, table }, SPACE_LIMITS)
      return disk && { freeBytes: Number(disk.freeBytes), totalBytes: Number(disk.totalBytes) }
    } catch (error) {
      // Servers before 19.15 have no such table, and not every user may read it.
      this.#withoutDisks = error instanceof StoreFailure && error.kind === 'schema'
      return undefined
    }
  }

  async insertRows(table: string, rows: readonly (object | string)[]): Promise<void> {
    if (rows.length === 0) return
    const values = Readable.from([jsonLines(rows)], { objectMode: false })
    await this.insertText(`INSERT INTO ${inDatabase(this.database, table)} FORMAT JSONEachRow`, values, {})
  }

  async load(file: string, statement: (from: string) => string): Promise<void> {
    const query = `${statement(`input(${quote(RECORD_STRUCTURE)})`)} FORMAT RowBinary`
    const values = createReadStream(file, { highWaterMark: 1 << 20 })
    try {
      await this.#attempt(async (client) => {
        const { stream } = await client.exec({ query, values })
        for await (const _ of stream);
      })
    } finally {
      values.destroy()
    }
  }

  /** Rows as text behind `sql`, which names their format; works with servers that know nothing of input(). */
  async insertText(sql: string, values: Readable, settings: Record<string, string>): Promise<void> {
    let broken: unknown
    values.once('error', (error) => {
      broken = error
    })
    try {
      await this.#attempt(async (client) => {
        const { stream } = await client.exec({ query: sql, values, clickhouse_settings: settings })
        for await (const _ of stream);
      })
    } catch (error) {
      if (broken instanceof StoreFailure) throw broken
      throw error
    } finally {
      values.destroy()
    }
  }

  async #attempt<T>(work: (client: ClickHouseClient) => Promise<T>): Promise<T> {
    if (!this.#client) throw new StoreFailure('retry', 'the store is not running')
    try {
      return await work(this.#client)
    } catch (error) {
      if (error instanceof StoreFailure) throw error
      if (error instanceof ClickHouseError) {
        throw failureOf(Number(error.code), `${error.type ?? ''}: ${error.message}`, error)
      }
      const { code, message } = error as NodeJS.ErrnoException
      // Servers before 20 word it so that the client does not recognise it.
      const old = /^Code: (\d+), e\.displayText\(\) = (?:DB::)?\w*Exception: (.*)/s.exec(message)
      if (old) throw failureOf(Number(old[1]), old[2] ?? message, error)
      throw failureOf(undefined, code ? `${code}: ${message}` : message, error)
    }
  }
}
