// SPDX-License-Identifier: Apache-2.0
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { describeError, type Logger, type Prefix } from '@flowdam/common'
import type { DropCounter } from '../drops.js'
import type { Engine } from '../store/engine.js'
import { type HostTraffic, MetricRows } from './rows.js'
import { FASTNETMON_TABLES, fastnetmonStatements } from './tables.js'

export interface MetricWriterOptions {
  store: { readonly isReady: boolean; readonly engine: Pick<Engine, 'command' | 'insertRows'> }
  /** Where the tables are; FastNetMon's own is `fastnetmon`. */
  database: string
  cluster: string | undefined
  intervalMs: number
  networks: () => readonly Prefix[]
  /** Every address with traffic now; read over several turns of the event loop. */
  hosts: () => Iterable<HostTraffic>
  drops: DropCounter
  log: Logger
}

/** Hosts turned into rows in one turn of the event loop: 2-3 ms. */
const HOSTS_A_TURN = 250
/** Rows of an insert: few parts, and a few megabytes of text. */
const ROWS_AN_INSERT = 10_000

/** Writes FastNetMon's metric tables, for dashboards that know them. What cannot be written is counted, and not kept. */
export class MetricWriter {
  readonly #options: MetricWriterOptions
  #abort = new AbortController()
  #working: Promise<void> | undefined
  #tables = false
  #lastError = ''
  /** Rows written since start. */
  written = 0

  constructor(options: MetricWriterOptions) {
    this.#options = options
  }

  start(): void {
    this.#abort = new AbortController()
    this.#working = this.#work(this.#abort.signal)
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#working
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (;;) {
      const pause = this.#options.intervalMs - (Date.now() % this.#options.intervalMs)
      await sleep(pause, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      await this.write(Date.now())
    }
  }

  /** The tables of this moment. Does not reject. */
  async write(unixMs: number): Promise<void> {
    const pending = new Map<string, string[]>(FASTNETMON_TABLES.map(({ name }) => [name, []]))
    try {
      const rows = new MetricRows(this.#options.networks(), unixMs)
      let seen = 0
      for (const host of this.#options.hosts()) {
        const made = rows.host(host)
        if (made) await this.#put(pending, made.table, made.row)
        if (++seen % HOSTS_A_TURN === 0) await nextTurn()
      }
      for (const { table, row } of [...rows.networks(), ...rows.totals()])
        await this.#put(pending, table, row)
      for (const [table, texts] of pending) await this.#insert(table, texts)
      if (this.#lastError !== '') this.#options.log.info('the tables of FastNetMon are written again')
      this.#lastError = ''
    } catch (error) {
      const text = describeError(error)
      if (text !== this.#lastError)
        this.#options.log.warn({ error: text }, 'the tables of FastNetMon are not written')
      this.#lastError = text
      for (const texts of pending.values())
        this.#options.drops.add('store', 'fastnetmon_tables', texts.length)
    }
  }

  async #put(pending: Map<string, string[]>, table: string, row: object): Promise<void> {
    const texts = pending.get(table) as string[]
    texts.push(JSON.stringify(row))
    if (texts.length >= ROWS_AN_INSERT) await this.#insert(table, texts)
  }

  async #insert(table: string, texts: string[]): Promise<void> {
    const { store, database, cluster } = this.#options
    if (!store.isReady) throw new Error('the store is not open')
    if (!this.#tables) {
      for (const statement of fastnetmonStatements({ database, cluster }))
        await store.engine.command(statement)
      this.#tables = true
    }
    if (texts.length === 0) return
    await store.engine.insertRows(`${database}.${table}`, texts)
    this.written += texts.length
    texts.length = 0
  }
}
