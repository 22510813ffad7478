// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeError, type Logger } from '@flowdam/common'
import type { StoreStatus } from '@flowdam/proto'
import type { FlowCounters } from '../contracts.js'
import { type DiskSpace, reserveOf } from '../disk/space.js'
import { type DiskState, DiskWatch } from '../disk/watch.js'
import type { DropCounter } from '../drops.js'
import type { SourceRegistry } from '../sources/registry.js'
import type { Spool } from '../spool/spool.js'
import { ClickHouseEngine } from './clickhouse/engine.js'
import type { StoreConfig } from './config.js'
import { EmbeddedEngine } from './embedded/engine.js'
import { requireEmbedded } from './embedded/installed.js'
import { type Engine, type QueryLimits, type QueryParams, StoreFailure } from './engine.js'
import { Loader, type LoaderStatus } from './loader.js'
import { MappedTable } from './mapped/table.js'
import { PartCount } from './parts.js'
import { Rollups } from './rollup/rollups.js'
import type { SchemaOptions } from './schema.js'
import { FlowsTable, type Target } from './target.js'

export interface StoreOptions {
  config: StoreConfig
  spool: Spool
  sources: SourceRegistry
  drops: DropCounter
  flows: FlowCounters
  log: Logger
  /** For tests; default by config.engine. */
  engine?: Engine
  /** For tests: how much room the database's disk has. */
  space?: () => Promise<DiskSpace | undefined>
}

/** Behind by more than this is "degraded". */
const DEGRADED_LAG_MS = 30_000
const RETRY_MS = [200, 10_000] as const
/** Our own disk costs a system call; a server is asked. */
const LOOK_AT_DISK_MS = { embedded: 250, clickhouse: 5000 } as const

/**
 * The database: its engine, its tables, and the loader that fills them. start() returns at once; a database that is
 * not there yet is tried again and again, while the spool keeps what comes.
 */
export class Store {
  readonly engine: Engine
  /** Sums by host and port; undefined where they are turned off or the tables are not ours. */
  readonly rollups: Rollups | undefined
  /** Called after each stored segment; must not throw. */
  onInsert: ((rows: number, ms: number) => void) | undefined
  readonly #options: StoreOptions
  readonly #target: Target
  readonly #loader: Loader
  readonly #parts: PartCount
  readonly #disk: DiskWatch
  /** As it was asked for last; one after the other. */
  #merging: Promise<void> = Promise.resolve()
  #areMergesAllowed = true
  #opening: Promise<void> | undefined
  #abort = new AbortController()
  #ready = false
  #openError = ''
  #openFailed = false
  #mirroredSources = 0

  constructor(options: StoreOptions) {
    this.#options = options
    this.engine = options.engine ?? newEngine(options)
    const { config, ...rest } = options
    this.#target = newTarget(this.engine, config)
    this.#parts = new PartCount(this.engine, this.#target.table)
    this.#disk = new DiskWatch({
      look: options.space ?? (() => this.engine.space(this.#target.table)),
      reserve: (totalBytes) => reserveOf(config.reserve, totalBytes),
      everyMs: LOOK_AT_DISK_MS[config.engine],
      onState: (state) => this.#diskIs(state),
    })
    if (config.rollups && this.#hasOwnTables) {
      this.rollups = new Rollups({
        engine: this.engine,
        place: { database: this.engine.database, cluster: schemaOptions(config).cluster },
        file: this.#rollupsFile,
        retentionMs: config.retention,
        log: options.log,
        isBehind: () => options.spool.status().segments > 2,
        isHeld: () => this.#disk.state !== 'ok',
      })
    }
    this.#loader = new Loader({
      ...rest,
      target: this.#target,
      loaders: config.loaders,
      room: (signal) => this.#disk.room(signal),
      beforeRelease: async (segment) => this.rollups?.stored(segment),
      onStored: (rows, ms) => {
        this.onInsert?.(rows, ms)
        void this.#mirrorSources()
      },
    })
  }

  start(): void {
    this.#abort = new AbortController()
    this.#opening = this.#open(this.#abort.signal)
  }

  /** Resolves when the tables are there and loading has begun. */
  async ready(): Promise<void> {
    await this.#opening
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#opening
    await this.#loader.stop()
    const parts = this.#parts.stop()
    // May be asking a server that does not answer, until the engine stops.
    const disk = this.#disk.stop()
    // What it sums is summed again after the next start.
    const rollups = this.rollups?.stop()
    await this.engine.stop()
    await rollups
    await parts
    await disk
    this.#ready = false
  }

  status(): StoreStatus {
    const spool = this.#options.spool.status()
    const loader = this.#loader.status()
    const lagMs = spool.oldestUnixMs === 0 ? 0 : Math.max(0, Date.now() - spool.oldestUnixMs)
    const lastError = this.#openError || this.#diskError || loader.lastError || spool.lastError
    const state =
      loader.failed || this.#openFailed
        ? 'failed'
        : lastError !== '' || lagMs > DEGRADED_LAG_MS
          ? 'degraded'
          : 'ok'
    return {
      engine: this.engine.kind,
      state,
      rowsStored: loader.rowsStored,
      rowsPerSecond: loader.rowsPerSecond,
      spoolSegments: spool.segments,
      spoolBytes: spool.bytes,
      lagMs,
      lastError,
      insertMs: loader.insertMs,
      retries: { ...loader.retries },
      parts: this.#parts.value,
      spoolMaxBytes: spool.maxBytes,
      spoolState: spool.state,
      diskState: this.#disk.state,
      diskFreeBytes: this.#disk.freeBytes,
      diskReserveBytes: this.#disk.reserveBytes,
    }
  }

  /** More than the API shows; for metrics. */
  loaderStatus(): LoaderStatus {
    return this.#loader.status()
  }

  get isReady(): boolean {
    return this.#ready
  }

  query<Row>(sql: string, params: QueryParams, limits: QueryLimits): Promise<Row[]> {
    if (!this.#hasOwnTables)
      return Promise.reject(
        new StoreFailure('schema', 'flows go to a table of yours (store.table): query it there'),
      )
    return this.engine.query(sql, params, limits)
  }

  /** How long what is kept, milliseconds. */
  get retentionMs(): { flows: number; minutes: number } {
    const { retention, retention_minutes } = this.#options.config
    return { flows: retention, minutes: retention_minutes }
  }

  /** A row of `bans` or `attacks` (store/schema.ts); the newest of an id counts. */
  async record(table: 'bans' | 'attacks', row: object): Promise<void> {
    if (!this.#hasOwnTables) return
    return this.engine.insertRows(table, [row])
  }

  /** Only flows go to a table that is not ours. */
  get #hasOwnTables(): boolean {
    return this.#target instanceof FlowsTable
  }

  get #rollupsFile(): string {
    return join(this.#options.config.path, 'rollups.json')
  }

  get #diskError(): string {
    const { state, freeBytes, reserveBytes } = this.#disk
    if (state === 'ok') return ''
    const [free, reserve] = [megabytes(freeBytes), megabytes(reserveBytes)]
    return `FD_STORE_DISK_LOW: ${free} free on the database's disk, store.reserve is ${reserve}: flows wait in the spool`
  }

  /** Loading stops and goes on by itself (Loader); merges that have begun are ended before the disk is full. */
  #diskIs(state: DiskState): void {
    const { log } = this.#options
    if (state === 'ok') log.info('the database’s disk has room again')
    else log.error({ state }, this.#diskError)
    const allowed = state !== 'critical'
    if (allowed === this.#areMergesAllowed) return
    this.#areMergesAllowed = allowed
    this.#merging = this.#merging
      .then(() => this.engine.allowMerges(allowed))
      .catch((error: unknown) => log.warn({ error: describeError(error) }, 'merges go on as before'))
  }

  /** Writes sources that the table does not have yet. They are also in each row by name, so a failure can wait. */
  async #mirrorSources(): Promise<void> {
    if (!this.#hasOwnTables) return
    const all = this.#options.sources.all()
    const from = this.#mirroredSources
    if (all.length === from) return
    this.#mirroredSources = all.length
    const spool = this.#options.spool.id
    try {
      await this.engine.insertRows(
        'sources',
        all.slice(from).map((source) => ({ spool, ...source })),
      )
    } catch (error) {
      this.#mirroredSources = from
      this.#options.log.warn({ error: describeError(error) }, 'the table of sources is behind')
    }
  }

  async #open(signal: AbortSignal): Promise<void> {
    const { log } = this.#options
    await this.#disk.start()
    for (let pauseMs: number = RETRY_MS[0]; !signal.aborted; pauseMs = Math.min(pauseMs * 2, RETRY_MS[1])) {
      try {
        await this.engine.start()
        await this.#disk.look()
        await this.#target.prepare()
        this.#openError = ''
        this.#openFailed = false
        this.#ready = true
        // A file from before they were turned off would take minutes for summed that are not.
        if (this.rollups) await this.rollups.start()
        else await rm(this.#rollupsFile, { force: true })
        this.#loader.start()
        this.#parts.start()
        log.info({ engine: this.engine.kind, database: this.engine.database }, 'the store is ready')
        return
      } catch (error) {
        if (this.#openError === '')
          log.error({ error: describeError(error) }, 'the store does not open; trying again')
        this.#openError = describeError(error)
        this.#openFailed = error instanceof StoreFailure && error.kind === 'schema'
        await sleep(pauseMs, undefined, { signal }).catch(() => undefined)
      }
    }
  }
}

function newEngine({ config, log }: StoreOptions): Engine {
  if (config.engine === 'embedded') {
    requireEmbedded()
    const { memory: memoryBytes, reserve } = config
    return new EmbeddedEngine({ path: join(config.path, 'clickhouse'), memoryBytes, reserve, log })
  }
  return newServer(config, config.url)
}

function newServer(config: Extract<StoreConfig, { engine: 'clickhouse' }>, url: string): ClickHouseEngine {
  const password =
    config.password ?? (config.password_env === undefined ? '' : (process.env[config.password_env] ?? ''))
  const { database, user, timeout } = config
  return new ClickHouseEngine({ url, database, user, password, timeoutMs: timeout })
}

function newTarget(engine: Engine, config: StoreConfig): Target {
  if (config.engine === 'clickhouse' && config.table && engine instanceof ClickHouseEngine) {
    const { name, columns, shards } = config.table
    const onShards = shards && {
      table: shards.table,
      engines: shards.urls.map((url) => newServer(config, url)),
    }
    return new MappedTable({ engine, table: name, columns, shards: onShards })
  }
  return new FlowsTable(engine, schemaOptions(config))
}

export function schemaOptions(config: StoreConfig): SchemaOptions {
  return {
    order: config.order,
    retentionMs: config.retention,
    minutesRetentionMs: config.retention_minutes,
    hoursRetentionMs: config.retention_hours,
    cluster: config.engine === 'clickhouse' ? config.cluster : undefined,
    embedded: config.engine === 'embedded',
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`
}

/** The folder that the spool, the sources and the embedded database share; made if missing. */
export function prepareStoreFolder(config: StoreConfig): string {
  mkdirSync(config.path, { recursive: true, mode: 0o750 })
  return config.path
}
