// SPDX-License-Identifier: Apache-2.0
//
// The tables, as numbered steps that only go forward. Each statement can run again, and by several aggregators at a
// time, without harm; a step that ran is remembered in `migrations`. docs/store.md explains the sorting keys and
// codecs with the figures they were chosen by.
import { createTable, localTable, onCluster, type Place, type Table } from './ddl.js'
import type { Engine } from './engine.js'

export interface SchemaOptions {
  order: 'time' | 'host'
  /** Raw flows. */
  retentionMs: number
  /** Sums by minute and by hour. */
  minutesRetentionMs: number
  hoursRetentionMs: number
  cluster?: string | undefined
  /** chdb: some of its defaults are not ClickHouse's. */
  embedded?: boolean
}

/** For tests and benches. */
export const SCHEMA_DEFAULTS: SchemaOptions = {
  order: 'time',
  retentionMs: 15 * 86_400_000,
  minutesRetentionMs: 60 * 86_400_000,
  hoursRetentionMs: 730 * 86_400_000,
}

/** A retry comes long before so many inserts. */
const DEDUPLICATION_WINDOW = 10_000

const ORDER = {
  time: 'toStartOfMinute(time)',
  host: '(toStartOfMinute(time), dst_addr)',
} as const

export const FLOWS = (options: SchemaOptions): Table => ({
  name: 'flows',
  columns: `    time DateTime64(3, 'UTC') COMMENT 'first packet' CODEC(T64, LZ4),
    duration_ms UInt16 COMMENT 'last packet minus first' CODEC(T64, LZ4),
    agent LowCardinality(String),
    interface LowCardinality(String),
    direction LowCardinality(String) COMMENT 'ingress or egress, as the interface saw it',
    boundary LowCardinality(String) COMMENT 'external (counted) or internal',
    src_addr IPv6 COMMENT 'IPv4 as ::ffff:a.b.c.d' CODEC(ZSTD(1)),
    dst_addr IPv6 CODEC(ZSTD(1)),
    src_port UInt16 COMMENT 'for ICMP the type',
    dst_port UInt16 COMMENT 'for ICMP the code',
    protocol UInt8,
    vlan UInt16,
    tcp_flags UInt8 COMMENT 'OR over the flow',
    dscp UInt8,
    ttl UInt8 COMMENT 'of the first packet',
    marks UInt8 COMMENT '1 fragment, 2 dropped by a rule, 4 tunnelled, 8 sampled, 16 a sum of many flows',
    packets UInt32 CODEC(T64, LZ4),
    bytes UInt64 COMMENT 'layer 3' CODEC(T64, LZ4),
    sampling_rate UInt32,
    segment UInt64 COMMENT 'the spool segment that brought it; an uncertain insert is checked by it'`,
  engine: 'MergeTree',
  body: `PARTITION BY toYYYYMMDD(time)
ORDER BY ${ORDER[options.order]}
TTL ${ttl('toDateTime(time)', options.retentionMs)}`,
  settings: ['ttl_only_drop_parts = 1', 'fsync_after_insert = 1', 'fsync_part_directory = 1'],
  sharded: true,
  deduplicationWindow: DEDUPLICATION_WINDOW,
})

const SOURCES: Table = {
  name: 'sources',
  columns: `    spool UInt32,
    number UInt16,
    agent String,
    interface String,
    direction LowCardinality(String),
    boundary LowCardinality(String)`,
  engine: 'ReplacingMergeTree',
  body: 'ORDER BY (spool, number)',
  sharded: false,
}

const BANS: Table = {
  name: 'bans',
  columns: `    id String,
    updated DateTime64(3, 'UTC'),
    prefix String,
    direction LowCardinality(String),
    state LowCardinality(String),
    metric LowCardinality(String),
    threshold Float64,
    value Float64,
    pps Float64,
    bps Float64,
    flows Float64,
    hostgroup LowCardinality(String),
    detected DateTime64(3, 'UTC'),
    banned DateTime64(3, 'UTC'),
    until DateTime64(3, 'UTC'),
    unbanned DateTime64(3, 'UTC'),
    who String,
    reason String,
    dry_run Bool`,
  engine: 'ReplacingMergeTree',
  version: 'updated',
  body: 'ORDER BY id',
  sharded: false,
}

const ATTACKS: Table = {
  name: 'attacks',
  columns: `    id String,
    updated DateTime64(3, 'UTC'),
    target String,
    direction LowCardinality(String),
    metric LowCardinality(String),
    threshold Float64,
    peak Float64,
    pps Float64,
    bps Float64,
    flows Float64,
    hostgroup LowCardinality(String),
    started DateTime64(3, 'UTC'),
    ended DateTime64(3, 'UTC'),
    ban String`,
  engine: 'ReplacingMergeTree',
  version: 'updated',
  body: 'ORDER BY id',
  sharded: false,
}

const MIGRATIONS_TABLE: Table = {
  name: 'migrations',
  columns: '    version UInt32,\n    name String,\n    at DateTime DEFAULT now()',
  engine: 'ReplacingMergeTree',
  version: 'at',
  body: 'ORDER BY version',
  sharded: false,
}

const HOST = `direction LowCardinality(String) COMMENT 'incoming or outgoing',
    host IPv6 COMMENT 'dst_addr of what came in, src_addr of what went out'`
const PORT = `direction LowCardinality(String),
    protocol UInt8,
    port UInt16 COMMENT 'the lower one of the two'`

/** Sums of external flows; rollup/rollups.ts writes whole minutes and hours again when flows come late. */
function rollup(name: string, time: 'minute' | 'hour', key: string, columns: string, keepMs: number): Table {
  return {
    name,
    columns: `    ${time} DateTime('UTC') CODEC(DoubleDelta, LZ4),
    ${columns},
    flows UInt64 CODEC(T64, LZ4),
    packets UInt64 CODEC(T64, LZ4),
    bytes UInt64 CODEC(T64, LZ4),
    computed DateTime64(3, 'UTC') COMMENT 'the newest counts: read with FINAL'`,
    engine: 'ReplacingMergeTree',
    version: 'computed',
    body: `PARTITION BY ${time === 'minute' ? 'toYYYYMMDD' : 'toYYYYMM'}(${time})
ORDER BY (${time}, ${key})
TTL ${ttl(time, keepMs)}`,
    settings: ['ttl_only_drop_parts = 1'],
    sharded: true,
  }
}

/**
 * What a merge writes is not synced; what it was made of must outlive the time in which the kernel writes it (30 s). chdb takes
 * it away at its next look (old_parts_lifetime = 0), ClickHouse after 480 s, at 1 M flows/s 40 GB.
 */
const OLD_PARTS_LIFETIME_S = 120

const ROLLUPS = (options: SchemaOptions): Table[] => [
  rollup('host_minutes', 'minute', 'direction, host', HOST, options.minutesRetentionMs),
  rollup('host_hours', 'hour', 'direction, host', HOST, options.hoursRetentionMs),
  rollup('port_minutes', 'minute', 'direction, protocol, port', PORT, options.minutesRetentionMs),
  rollup('port_hours', 'hour', 'direction, protocol, port', PORT, options.hoursRetentionMs),
]

interface Migration {
  version: number
  name: string
  statements: (place: Place, options: SchemaOptions) => string[]
}

export const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    name: 'flows, sources, attacks, bans',
    statements: (place, options) => [
      ...[FLOWS(options), SOURCES, BANS, ATTACKS].flatMap((table) => createTable(place, table)),
      `CREATE VIEW IF NOT EXISTS ${place.database}.fastnetmon_flows${onCluster(place)} AS
SELECT
    time AS timestamp,
    ${addressText('src_addr')} AS src_ip,
    ${addressText('dst_addr')} AS dst_ip,
    src_port,
    dst_port,
    protocol,
    packets,
    bytes,
    vlan AS vlan_id
FROM ${place.database}.flows`,
    ],
  },
  {
    version: 2,
    name: 'what attacks are made of',
    statements: (place) => [
      `ALTER TABLE ${place.database}.attacks${onCluster(place)}
    ADD COLUMN IF NOT EXISTS scope LowCardinality(String) AFTER direction,
    ADD COLUMN IF NOT EXISTS type LowCardinality(String) AFTER scope,
    ADD COLUMN IF NOT EXISTS traffic LowCardinality(String) AFTER type,
    ADD COLUMN IF NOT EXISTS packets UInt64 AFTER flows,
    ADD COLUMN IF NOT EXISTS bytes UInt64 AFTER packets,
    ADD COLUMN IF NOT EXISTS details String COMMENT 'everything, as JSON'`,
    ],
  },
  {
    version: 3,
    name: 'sums by host and by port, of minutes and hours',
    statements: (place, options) => ROLLUPS(options).flatMap((table) => createTable(place, table)),
  },
  {
    version: 4,
    name: 'what a power failure must not take',
    statements: (place, options) => [
      // A minute that is summed is struck off rollups.json, so its sums must be on the disk then.
      ...ROLLUPS(options).map(({ name }) =>
        modifySettings(place, name, ['fsync_after_insert = 1', 'fsync_part_directory = 1']),
      ),
      ...(options.embedded ? [FLOWS(options), ...ROLLUPS(options)] : []).map(({ name }) =>
        modifySettings(place, name, [`old_parts_lifetime = ${OLD_PARTS_LIFETIME_S}`]),
      ),
    ],
  },
]

function modifySettings(place: Place, table: string, settings: readonly string[]): string {
  return `ALTER TABLE ${localTable(place, table)}${onCluster(place)} MODIFY SETTING ${settings.join(', ')}`
}

/** IPv4 with dots, IPv6 in RFC 5952's form. */
export function addressText(column: string): string {
  return `replaceRegexpOne(toString(${column}), '^::ffff:([0-9.]+)$', '\\\\1')`
}

const LIMITS = { timeoutMs: 30_000, maxMemoryBytes: 1e9 }

/** Brings the database to the newest version. */
export async function migrate(engine: Engine, options: SchemaOptions): Promise<void> {
  const place: Place = { database: engine.database, cluster: options.cluster }
  const db = engine.database
  await engine.command(`CREATE DATABASE IF NOT EXISTS ${db}${onCluster(place)}`)
  for (const statement of createTable(place, MIGRATIONS_TABLE)) await engine.command(statement)
  const rows = await engine.query<{ version: number }>(
    `SELECT max(version) AS version FROM ${db}.migrations`,
    {},
    LIMITS,
  )
  const current = Number(rows[0]?.version ?? 0)
  for (const { version, name, statements } of MIGRATIONS) {
    if (version <= current) continue
    for (const statement of statements(place, options)) await engine.command(statement)
    await engine.insertRows('migrations', [{ version, name }])
  }
  await applyRetention(engine, place, options)
}

/** Retention may change from start to start; rows that are too old go with their parts, nothing is rewritten. */
async function applyRetention(engine: Engine, place: Place, options: SchemaOptions): Promise<void> {
  for (const { name, body } of [FLOWS(options), ...ROLLUPS(options)]) {
    const wanted = body.slice(body.indexOf('TTL ') + 4)
    const local = localTable(place, name)
    const [row] = await engine.query<{ ddl: string }>(
      'SELECT create_table_query AS ddl FROM system.tables WHERE database = {db:String} AND name = {table:String}',
      { db: place.database, table: local.slice(place.database.length + 1) },
      LIMITS,
    )
    const is = /TTL .*toIntervalSecond\((\d+)\)/.exec(row?.ddl ?? '')?.[1]
    if (!row || wanted.endsWith(`toIntervalSecond(${is})`)) continue
    await engine.command(
      `ALTER TABLE ${local}${onCluster(place)} MODIFY TTL ${wanted} SETTINGS materialize_ttl_after_modify = 0`,
    )
  }
}

function ttl(column: string, keepMs: number): string {
  return `${column} + toIntervalSecond(${Math.max(1, Math.round(keepMs / 1000))})`
}
