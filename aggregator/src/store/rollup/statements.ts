// SPDX-License-Identifier: Apache-2.0
import { localTable, type Place } from '../ddl.js'

/** One thread, and to disk rather than beyond the memory: sums can wait, flows cannot. */
const SETTINGS =
  'SETTINGS max_threads = 1, max_insert_threads = 1, max_memory_usage = 1500000000, max_bytes_before_external_group_by = 500000000'
const SUMS = 'count() AS flows, sum(f.packets) AS packets, sum(f.bytes) AS bytes, now64(3) AS computed'
const HOUR = 3600

const KEYS = {
  host: {
    columns: 'direction, host',
    ofFlow:
      "if(f.direction = 'ingress', 'incoming', 'outgoing') AS direction, if(f.direction = 'ingress', f.dst_addr, f.src_addr) AS host",
  },
  port: {
    columns: 'direction, protocol, port',
    ofFlow:
      "if(f.direction = 'ingress', 'incoming', 'outgoing') AS direction, f.protocol AS protocol, least(f.src_port, f.dst_port) AS port",
  },
} as const

export type RollupKey = keyof typeof KEYS
export const ROLLUP_KEYS = Object.keys(KEYS) as RollupKey[]

/** Sums of whole minutes from the flows that are there, over what was summed before. Seconds since 1970; `to` excluded. */
export function minutesStatement(place: Place, key: RollupKey, from: number, to: number): string {
  const { columns, ofFlow } = KEYS[key]
  return (
    `INSERT INTO ${localTable(place, `${key}_minutes`)} (minute, ${columns}, flows, packets, bytes, computed) ` +
    `SELECT toStartOfMinute(f.time) AS minute, ${ofFlow}, ${SUMS} FROM ${localTable(place, 'flows')} AS f ` +
    `WHERE f.time >= toDateTime64(${from}, 3, 'UTC') AND f.time < toDateTime64(${to}, 3, 'UTC') AND f.boundary = 'external' ` +
    `GROUP BY minute, ${columns} ${SETTINGS}`
  )
}

/** One hour from its minutes. */
export function hourStatement(place: Place, key: RollupKey, hour: number): string {
  const { columns } = KEYS[key]
  return (
    `INSERT INTO ${localTable(place, `${key}_hours`)} (hour, ${columns}, flows, packets, bytes, computed) ` +
    `SELECT toDateTime(${hour}, 'UTC') AS hour, ${columns}, sum(m.flows) AS flows, sum(m.packets) AS packets, sum(m.bytes) AS bytes, now64(3) AS computed ` +
    `FROM ${localTable(place, `${key}_minutes`)} AS m FINAL ` +
    `WHERE m.minute >= toDateTime(${hour}, 'UTC') AND m.minute < toDateTime(${hour + HOUR}, 'UTC') GROUP BY ${columns} ${SETTINGS}`
  )
}
