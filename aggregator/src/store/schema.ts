// SPDX-License-Identifier: Apache-2.0
//
// The tables, as numbered steps that only go forward. Each statement can run again, and by several aggregators at a
// time, without harm; a step that ran is remembered in `migrations`. docs/store.md explains the sorting keys and
// codecs with the figures they were chosen by.
import type { Engine } from './engine.js'

export interface SchemaOptions {
  retentionMs: number
  order: 'time' | 'host'
}

/** How many inserts back a repeated token is recognised; a retry comes long before that. */
const DEDUPLICATION_WINDOW = 10_000

const ORDER = {
  time: 'toStartOfMinute(time)',
  host: '(toStartOfMinute(time), dst_addr)',
} as const

interface Migration {
  version: number
  name: string
  statements: (database: string, options: SchemaOptions) => string[]
}

export const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    name: 'flows, sources, attacks, bans',
    statements: (db, options) => [
      `CREATE TABLE IF NOT EXISTS ${db}.flows
(
    time DateTime64(3, 'UTC') COMMENT 'first packet' CODEC(T64, LZ4),
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
    segment UInt64 COMMENT 'the spool segment that brought it; an uncertain insert is checked by it'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY ${ORDER[options.order]}
TTL ${flowsTtl(options)}
SETTINGS non_replicated_deduplication_window = ${DEDUPLICATION_WINDOW}, ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1`,
      `CREATE TABLE IF NOT EXISTS ${db}.sources
(
    spool UInt32,
    number UInt16,
    agent String,
    interface String,
    direction LowCardinality(String),
    boundary LowCardinality(String)
)
ENGINE = ReplacingMergeTree
ORDER BY (spool, number)`,
      `CREATE TABLE IF NOT EXISTS ${db}.bans
(
    id String,
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
    dry_run Bool
)
ENGINE = ReplacingMergeTree(updated)
ORDER BY id`,
      `CREATE TABLE IF NOT EXISTS ${db}.attacks
(
    id String,
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
    ban String
)
ENGINE = ReplacingMergeTree(updated)
ORDER BY id`,
      `CREATE VIEW IF NOT EXISTS ${db}.fastnetmon_flows AS
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
FROM ${db}.flows`,
    ],
  },
  {
    version: 2,
    name: 'what attacks are made of',
    statements: (db) => [
      `ALTER TABLE ${db}.attacks
    ADD COLUMN IF NOT EXISTS scope LowCardinality(String) AFTER direction,
    ADD COLUMN IF NOT EXISTS type LowCardinality(String) AFTER scope,
    ADD COLUMN IF NOT EXISTS traffic LowCardinality(String) AFTER type,
    ADD COLUMN IF NOT EXISTS packets UInt64 AFTER flows,
    ADD COLUMN IF NOT EXISTS bytes UInt64 AFTER packets,
    ADD COLUMN IF NOT EXISTS details String COMMENT 'everything, as JSON'`,
    ],
  },
]

/** IPv4 with dots, IPv6 in RFC 5952's form. */
export function addressText(column: string): string {
  return `replaceRegexpOne(toString(${column}), '^::ffff:([0-9.]+)$', '\\\\1')`
}

/** Brings the database to the newest version. */
export async function migrate(engine: Engine, options: SchemaOptions): Promise<void> {
  const db = engine.database
  await engine.command(`CREATE DATABASE IF NOT EXISTS ${db}`)
  await engine.command(
    `CREATE TABLE IF NOT EXISTS ${db}.migrations (version UInt32, name String, at DateTime DEFAULT now()) ENGINE = ReplacingMergeTree(at) ORDER BY version`,
  )
  const limits = { timeoutMs: 30_000, maxMemoryBytes: 1e9 }
  const rows = await engine.query<{ version: number }>(
    `SELECT max(version) AS version FROM ${db}.migrations`,
    {},
    limits,
  )
  const current = Number(rows[0]?.version ?? 0)
  for (const { version, name, statements } of MIGRATIONS) {
    if (version <= current) continue
    for (const statement of statements(db, options)) await engine.command(statement)
    await engine.insertRows('migrations', [{ version, name }])
  }
  await applyRetention(engine, options)
}

/** Retention may change from start to start; rows that are too old go with their parts, nothing is rewritten. */
async function applyRetention(engine: Engine, options: SchemaOptions): Promise<void> {
  const [row] = await engine.query<{ ddl: string }>(
    'SELECT create_table_query AS ddl FROM system.tables WHERE database = {db:String} AND name = {table:String}',
    { db: engine.database, table: 'flows' },
    { timeoutMs: 30_000, maxMemoryBytes: 1e9 },
  )
  const days = /TTL toDateTime\(time\) \+ toIntervalSecond\((\d+)\)/.exec(row?.ddl ?? '')?.[1]
  if (row && Number(days) !== seconds(options)) {
    await engine.command(
      `ALTER TABLE ${engine.database}.flows MODIFY TTL ${flowsTtl(options)} SETTINGS materialize_ttl_after_modify = 0`,
    )
  }
}

function flowsTtl(options: SchemaOptions): string {
  return `toDateTime(time) + toIntervalSecond(${seconds(options)})`
}

function seconds({ retentionMs }: SchemaOptions): number {
  return Math.max(1, Math.round(retentionMs / 1000))
}
