// SPDX-License-Identifier: Apache-2.0
import type { Flow, QueryFlowsRequest, QueryFlowsResponse } from '@flowdam/proto'
import type { QueryLimits, QueryParams } from '../store/engine.js'
import { addressText } from '../store/schema.js'
import { addressRange, invalid } from './input.js'
import { PEOPLE, type Totals, type Turns } from './turns.js'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 10_000
const HOUR_MS = 3_600_000

/** What queries need of the store. */
export interface FlowSource {
  readonly engine: { readonly database: string }
  query<Row>(sql: string, params: QueryParams, limits: QueryLimits): Promise<Row[]>
}

type Row = Record<keyof Flow, string | number>

/** Reads stored flows for the API. What people give reaches ClickHouse as bound parameters only. */
export class FlowQueries {
  readonly #store: FlowSource
  readonly #turns: Turns

  constructor(store: FlowSource, turns: Turns) {
    this.#store = store
    this.#turns = turns
  }

  /** Throws FD_QUERY_INVALID for a request that makes no sense; FD_QUERY_BUSY, FD_QUERY_FAILED when the store cannot answer. */
  async query(request: QueryFlowsRequest): Promise<QueryFlowsResponse> {
    const began = performance.now()
    const { where, params } = conditions(request, Date.now())
    const table = `${this.#store.engine.database}.flows`
    const limit = Math.min(request.limit || DEFAULT_LIMIT, MAX_LIMIT)
    const list = `SELECT ${request.aggregate ? AGGREGATED : RAW} FROM ${table} AS f WHERE ${where}${
      request.aggregate ? ` GROUP BY ${KEY}` : ''
    } ORDER BY ${orderOf(request)} LIMIT {limit:UInt32}`
    const sums = `SELECT count() AS flows, sum(f.packets) AS packets, sum(f.bytes) AS bytes FROM ${table} AS f WHERE ${where}`
    return this.#turns.run(async () => {
      const rows = await this.#store.query<Row>(list, { ...params, limit }, PEOPLE)
      const [total] = await this.#store.query<Totals>(sums, params, PEOPLE)
      return {
        flows: rows.map(toFlow),
        totalFlows: Number(total?.flows ?? 0),
        totalPackets: Number(total?.packets ?? 0),
        totalBytes: Number(total?.bytes ?? 0),
        elapsedMs: Math.round(performance.now() - began),
      }
    })
  }
}

const KEY = 'src_addr, dst_addr, src_port, dst_port, protocol'
const NAMES = `agent, interface, direction, ${addressText('src_addr')} AS srcAddr, ${addressText('dst_addr')} AS dstAddr, src_port AS srcPort, dst_port AS dstPort, protocol, vlan`
const RAW = `toUnixTimestamp64Milli(time) AS timeUnixMs, duration_ms AS durationMs, ${NAMES}, packets, bytes, tcp_flags AS tcpFlags, dscp, ttl, marks`
/** One line for all flows of a key; what may differ between them is that of the latest. */
const AGGREGATED = [
  'toUnixTimestamp64Milli(min(f.time)) AS timeUnixMs',
  "toUInt64(greatest(0, dateDiff('millisecond', min(f.time), max(f.time)) + argMax(f.duration_ms, f.time))) AS durationMs",
  ...['agent', 'interface', 'direction', 'vlan', 'dscp', 'ttl'].map(
    (name) => `argMax(f.${name}, f.time) AS ${name}`,
  ),
  `${addressText('src_addr')} AS srcAddr`,
  `${addressText('dst_addr')} AS dstAddr`,
  'src_port AS srcPort',
  'dst_port AS dstPort',
  'protocol',
  'sum(f.packets) AS packets',
  'sum(f.bytes) AS bytes',
  'groupBitOr(f.tcp_flags) AS tcpFlags',
  'groupBitOr(f.marks) AS marks',
].join(', ')

function orderOf({ orderBy }: QueryFlowsRequest): string {
  switch (orderBy) {
    case '':
    case 'time':
      return 'timeUnixMs DESC'
    case 'bytes':
      return 'bytes DESC'
    case 'packets':
      return 'packets DESC'
    default:
      throw invalid(`order_by '${orderBy}' is not time, bytes or packets`)
  }
}

function conditions(request: QueryFlowsRequest, now: number): { where: string; params: QueryParams } {
  const until = request.untilUnixMs || now
  const since = request.sinceUnixMs || until - HOUR_MS
  if (since >= until) throw invalid('the time to start from is not before the time to end at')
  const where = [
    'time >= fromUnixTimestamp64Milli({since:Int64})',
    'time <= fromUnixTimestamp64Milli({until:Int64})',
  ]
  const params: Record<string, string | number> = { since, until }
  const within = (column: string, name: string) => `${column} BETWEEN {${name}From:IPv6} AND {${name}To:IPv6}`
  for (const [name, text, columns] of [
    ['host', request.host, ['src_addr', 'dst_addr']],
    ['src', request.src, ['src_addr']],
    ['dst', request.dst, ['dst_addr']],
  ] as const) {
    if (text === '') continue
    const [from, to] = addressRange(text)
    params[`${name}From`] = from
    params[`${name}To`] = to
    where.push(`(${columns.map((column) => within(column, name)).join(' OR ')})`)
  }
  if (request.protocol > 255) throw invalid(`protocol ${request.protocol} is above 255`)
  if (request.port > 65_535) throw invalid(`port ${request.port} is above 65535`)
  if (request.protocol > 0) {
    where.push('protocol = {protocol:UInt8}')
    params['protocol'] = request.protocol
  }
  if (request.port > 0) {
    where.push('(src_port = {port:UInt16} OR dst_port = {port:UInt16})')
    params['port'] = request.port
  }
  if (request.agent !== '') {
    where.push('agent = {agent:String}')
    params['agent'] = request.agent
  }
  return { where: where.join(' AND '), params }
}

function toFlow(row: Row): Flow {
  const number = (key: keyof Flow) => Number(row[key])
  return {
    timeUnixMs: number('timeUnixMs'),
    durationMs: number('durationMs'),
    agent: String(row.agent),
    interface: String(row.interface),
    direction: String(row.direction),
    srcAddr: String(row.srcAddr),
    dstAddr: String(row.dstAddr),
    srcPort: number('srcPort'),
    dstPort: number('dstPort'),
    protocol: number('protocol'),
    vlan: number('vlan'),
    packets: number('packets'),
    bytes: number('bytes'),
    tcpFlags: number('tcpFlags'),
    dscp: number('dscp'),
    ttl: number('ttl'),
    marks: number('marks'),
  }
}
