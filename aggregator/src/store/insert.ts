// SPDX-License-Identifier: Apache-2.0
import type { Source } from '../sources/registry.js'
import type { SealedSegment } from '../spool/segment.js'
import { localTable, onCluster, type Place } from './ddl.js'
import { quote } from './engine.js'

const DAY_MS = 86_400_000

const COLUMNS =
  'time, duration_ms, agent, interface, direction, boundary, src_addr, dst_addr, src_port, dst_port, protocol, vlan, tcp_flags, dscp, ttl, marks, packets, bytes, sampling_rate, segment'

/**
 * One insert per day of a segment: each makes one part, and a part is there whole or not at all. One thread and one
 * block keep it so, and keep a repetition the same. `token` names the attempt; ClickHouse ignores a token it has seen.
 */
export function insertStatement(
  table: string,
  segment: SealedSegment,
  sources: readonly Source[],
  dayUnixMs: number,
  token: string,
): (from: string) => string {
  const { baseUnixMs, key, days, rows } = segment
  const from = dayUnixMs - baseUnixMs
  const where = days.length > 1 ? ` WHERE first_ms >= ${from} AND first_ms < ${from + DAY_MS}` : ''
  const settings = [
    `insert_deduplication_token = ${quote(`${token}-${new Date(dayUnixMs).toISOString().slice(0, 10)}`)}`,
    'max_insert_threads = 1',
    'max_threads = 1',
    `min_insert_block_size_rows = ${rows + 1}`,
    'min_insert_block_size_bytes = 0',
    'max_query_size = 67108864',
    'max_partitions_per_insert_block = 2',
  ].join(', ')
  return (source) =>
    `INSERT INTO ${table} (${COLUMNS}) SETTINGS ${settings} ` +
    `SELECT fromUnixTimestamp64Milli(${baseUnixMs} + first_ms, 'UTC'), duration_ms, ${sourceColumns(sources)}, ` +
    'src_addr, dst_addr, src_port, dst_port, protocol, vlan, tcp_flags, dscp, ttl, marks, packets, bytes, ' +
    `1, ${key} FROM ${source}${where}`
}

/** agent, interface, direction and boundary from the number in `source`. */
function sourceColumns(sources: readonly Source[]): string {
  const numbers = `[${['0', ...sources.map(({ number }) => String(number))].join(',')}]`
  const column = (pick: (source: Source) => string): string => {
    const names = [`''`, ...sources.map((source) => quote(pick(source)))]
    return `CAST(transform(source, ${numbers}, [${names.join(',')}], '') AS LowCardinality(String))`
  }
  return [
    column(({ agent }) => agent),
    column((source) => source.interface),
    column(({ direction }) => direction),
    column(({ boundary }) => boundary),
  ].join(', ')
}

/** How many rows of a segment are in the table. Reads its days and minutes only. */
export const COUNT_OF_SEGMENT = (database: string): string =>
  `SELECT count() AS rows FROM ${database}.flows WHERE segment = {segment:UInt64} AND time >= fromUnixTimestamp64Milli({from:Int64}) AND time <= fromUnixTimestamp64Milli({to:Int64})`

/** Takes a half inserted segment out again; only for what COUNT_OF_SEGMENT found to be incomplete. */
export const DELETE_SEGMENT = (place: Place, segment: SealedSegment): string =>
  `ALTER TABLE ${localTable(place, 'flows')}${onCluster(place)} DELETE WHERE segment = ${segment.key} SETTINGS mutations_sync = ${place.cluster === undefined ? 1 : 2}`
