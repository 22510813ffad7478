// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path'
import { zDuration, zRate, zSize } from '@flowdam/common'
import { z } from 'zod'
import { reserveOf } from '../disk/space.js'
import { SPOOL_DEFAULTS, type SpoolOptions } from '../spool/options.js'
import { FIELD_NAMES } from './mapped/fields.js'

const zSpool = z
  .strictObject({
    /** Default: `spool` below store.path. */
    path: z.string().min(1).optional(),
    /** Of all segments together. */
    max: zSize.default(SPOOL_DEFAULTS.maxBytes),
    /** Of segments that were set aside because they cannot be loaded; with more, loading stops until somebody looks. */
    dead_letters: zSize.default(SPOOL_DEFAULTS.deadLetterBytes),
    /** Of its disk, that stays free. Default: half of store.reserve. */
    reserve: zSize.optional(),
    /** hold: agents keep what has no room here, in memory and on their disks. drop: it is dropped and counted. */
    when_full: z.enum(['hold', 'drop']).default(SPOOL_DEFAULTS.whenFull),
    /** Records in memory that wait for the disk; agents' windows are shares of it. */
    queue: zSize.pipe(z.number().min(4 << 20)).default(SPOOL_DEFAULTS.queueBytes),
    /** always: a batch is acknowledged when it is on the disk. interval: when the kernel has it, synced every so often. */
    fsync: z.enum(['always', 'interval', 'never']).default(SPOOL_DEFAULTS.fsync),
    fsync_interval: zDuration.default(SPOOL_DEFAULTS.fsyncIntervalMs),
    /** Records and age at which a segment is sealed and loaded. */
    segment_rows: zRate.pipe(z.int().min(1000).max(2_000_000)).default(SPOOL_DEFAULTS.maxRows),
    segment_age: zDuration.default(SPOOL_DEFAULTS.maxAgeMs),
  })
  .prefault({})

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/
const FASTNETMON = { database: 'fastnetmon', interval: 10_000 }

/** true: as below, with defaults. */
const zFastnetmonTables = z
  .union([
    z.boolean(),
    z.strictObject({
      database: z.string().regex(IDENTIFIER, 'letters, digits and _ only').default(FASTNETMON.database),
      interval: zDuration.refine((ms) => ms >= 1000, 'at least 1s').default(FASTNETMON.interval),
    }),
  ])
  .transform((given) => (given === true ? FASTNETMON : given || undefined))

const common = {
  /** Of the database's disk, that stays free: with less, nothing is loaded. Default: 5 % of the disk, at most 1 GB. */
  reserve: zSize.optional(),
  /** Raw flows are deleted when they are this old. */
  retention: zDuration.default(15 * 86_400_000),
  /** Sums by host and by port, of minutes and hours; made while nothing waits to be stored. */
  rollups: z.boolean().default(true),
  retention_minutes: zDuration.default(60 * 86_400_000),
  retention_hours: zDuration.default(730 * 86_400_000),
  /** time: fastest to load. host: a third faster to read one host, half slower to load; only for a new table. */
  order: z.enum(['time', 'host']).default('time'),
  /** Inserts at a time; two keep both the reading of one and the sorting and writing of the other going. */
  loaders: z.int().min(1).max(16).default(2),
  /** FastNetMon's tables of traffic by host, by network and in total, for its dashboards. */
  fastnetmon_tables: zFastnetmonTables.prefault(false),
  spool: zSpool,
}

export const DEFAULT_STORE = { engine: 'embedded' } as const

const zEngine = z.discriminatedUnion('engine', [
  z.strictObject({
    engine: z.literal('embedded'),
    path: z.string().min(1).default('/var/lib/flowdam/store'),
    /** Of the process that runs the database. */
    memory: zSize.default(2e9),
    ...common,
  }),
  z.strictObject({
    engine: z.literal('clickhouse'),
    url: z.url(),
    database: z.string().regex(IDENTIFIER, 'letters, digits and _ only').default('flowdam'),
    user: z.string().default('default'),
    /** Read from the environment variable of this name, so that it is in no file. */
    password_env: z.string().optional(),
    password: z.string().optional(),
    /** Of one that does not answer; what it was doing is then done again, and counted first. */
    timeout: zDuration.pipe(z.number().min(500)).default(60_000),
    /** Name in remote_servers: tables are made ON CLUSTER, Replicated, with Distributed ones over them. */
    cluster: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,64}$/, 'letters, digits, _ and - only')
      .optional(),
    /** A table that is there already, of any shape: column → field. Nothing else is written to the server then. */
    table: z
      .strictObject({
        name: z.string().min(1),
        columns: z
          .record(z.string().min(1), z.enum(FIELD_NAMES))
          .refine((columns) => Object.keys(columns).length > 0, 'name at least one column'),
        /** Where it is Distributed: the servers that hold its rows and the table there, to take half an insert out. */
        shards: z.strictObject({ table: z.string().min(1), urls: z.array(z.url()).min(1) }).optional(),
      })
      .optional(),
    /** Spool and sources live here. */
    path: z.string().min(1).default('/var/lib/flowdam/store'),
    ...common,
  }),
])

/** The embedded engine unless another is named, also where only something else about the store is said. */
export const zStore = z.preprocess(
  (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && !('engine' in value)
      ? { ...DEFAULT_STORE, ...value }
      : value,
  zEngine,
)

export type StoreConfig = z.output<typeof zStore>

/** The spool's part of the configuration. */
export function spoolOptions(config: StoreConfig): Omit<SpoolOptions, 'drops' | 'flows' | 'log'> {
  const { spool } = config
  return {
    directory: spool.path ?? join(config.path, 'spool'),
    maxBytes: spool.max,
    deadLetterBytes: spool.dead_letters,
    reserve: (totalBytes) => spool.reserve ?? Math.floor(reserveOf(config.reserve, totalBytes) / 2),
    whenFull: spool.when_full,
    maxRows: spool.segment_rows,
    maxAgeMs: spool.segment_age,
    fsync: spool.fsync,
    fsyncIntervalMs: spool.fsync_interval,
    queueBytes: spool.queue,
  }
}
