// SPDX-License-Identifier: Apache-2.0
//
// FastNetMon's metric tables, with its names, columns, keys and seven days (its src/metrics/clickhouse.cpp), so that
// dashboards made for it go on working.
import { createTable, onCluster, type Place, type Table } from '../store/ddl.js'

export const KINDS = ['tcp', 'udp', 'icmp', 'fragmented', 'tcp_syn'] as const
export const SIDES = ['incoming', 'outgoing'] as const

const BOTH = KINDS.flatMap((kind) =>
  ['packets', 'bits'].flatMap((unit) => SIDES.map((side) => `${kind}_${unit}_${side}`)),
)
const PAIRS = ['packets', 'bits'].flatMap((unit) => SIDES.map((side) => `${unit}_${side}`))
const FLOWS = SIDES.map((side) => `flows_${side}`)
const DROPPING = [...KINDS, 'dropped'].flatMap((kind) => [`${kind}_packets`, `${kind}_bits`])

function metricTable(name: string, key: string, amounts: readonly string[], version: number): Table {
  const columns = [
    'metricDate Date DEFAULT toDate(metricDateTime)',
    'metricDateTime DateTime',
    `${key} String`,
    ...amounts.map((amount) => `${amount} UInt64`),
    `schema_version UInt8 DEFAULT 0 COMMENT '${version}'`,
  ]
  return {
    name,
    columns: columns.map((column) => `    ${column}`).join(',\n'),
    engine: 'MergeTree',
    body: `PARTITION BY metricDate\nORDER BY (${key}, metricDate)\nTTL metricDate + toIntervalDay(7)`,
    sharded: false,
  }
}

export const FASTNETMON_TABLES: readonly Table[] = [
  ...['host_metrics', 'host_metrics_ipv6'].map((name) =>
    metricTable(name, 'host', [...PAIRS, ...FLOWS, ...BOTH], 2),
  ),
  ...['network_metrics', 'network_metrics_ipv6'].map((name) =>
    metricTable(name, 'network', [...PAIRS, ...BOTH], 1),
  ),
  ...['total_metrics', 'total_metrics_ipv4', 'total_metrics_ipv6'].map((name) =>
    metricTable(name, 'direction', ['flows', 'packets', 'bits', ...DROPPING], 1),
  ),
]

/** Each can run again, and by several aggregators at a time. */
export function fastnetmonStatements(place: Place): string[] {
  const database = `CREATE DATABASE IF NOT EXISTS ${place.database}${onCluster(place)}`
  return [database, ...FASTNETMON_TABLES.flatMap((table) => createTable(place, table))]
}
