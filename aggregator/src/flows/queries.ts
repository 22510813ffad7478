// SPDX-License-Identifier: Apache-2.0
import type { Flow, QueryFlowsRequest, QueryFlowsResponse, StreamFlowsRequest } from '@flowdam/proto'
import { pageToken, readPageToken } from '../api/page.js'
import type { QueryLimits, QueryParams } from '../store/engine.js'
import { addressText } from '../store/schema.js'
import { addressRange, checkProtocolAndPort, invalid } from './input.js'
import { type Asker, limitsFor, PATIENT_ASKER, PEOPLE, type Totals, type Turns } from './turns.js'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 10_000
const HOUR_MS = 3_600_000
/** Flows in a message of a stream: about 1.5 MB. */
const PART = 10_000

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
  async query(request: QueryFlowsRequest, asker: Asker = PATIENT_ASKER): Promise<QueryFlowsResponse> {
    const began = performance.now()
    const position = positionOf(request, Date.now())
    const { where, params } = conditions({ ...request, ...position.times })
    const limit = Math.min(request.limit || DEFAULT_LIMIT, MAX_LIMIT)
    const sums = `SELECT count() AS flows, sum(f.packets) AS packets, sum(f.bytes) AS bytes FROM ${this.#table} AS f WHERE ${where}`
    return this.#turns.run(asker.signal, async () => {
      const flows = await this.#read(request, position, limit, limitsFor(asker, began))
      const [total] = await this.#store.query<Totals>(sums, params, limitsFor(asker, began))
      return {
        flows,
        totalFlows: Number(total?.flows ?? 0),
        totalPackets: Number(total?.packets ?? 0),
        totalBytes: Number(total?.bytes ?? 0),
        elapsedMs: Math.round(performance.now() - began),
        nextPageToken: flows.length < limit ? '' : tokenAfter(request, position, flows),
      }
    })
  }

  /** Every flow that matches, in parts, newest first; ends early when `signal` says that nobody listens. */
  async *stream(request: StreamFlowsRequest, signal: AbortSignal): AsyncGenerator<Flow[]> {
    const query = { ...request, limit: PART, aggregate: false, orderBy: 'time', pageToken: '' }
    let position = positionOf(query, Date.now())
    let left = request.limit || Number.POSITIVE_INFINITY
    while (left > 0 && !signal.aborted) {
      const most = Math.min(PART, left)
      const from = position
      // Other queries have their turns between the parts.
      const flows = await this.#turns.run(signal, () => this.#read(query, from, most, { ...PEOPLE, signal }))
      if (flows.length > 0) yield flows
      if (flows.length < most) return
      left -= flows.length
      position = after(query, position, flows)
    }
  }

  get #table(): string {
    return `${this.#store.engine.database}.flows`
  }

  async #read(
    request: QueryFlowsRequest,
    { times, skip }: Position,
    limit: number,
    limits: QueryLimits,
  ): Promise<Flow[]> {
    // What was begun is gone on with from its last time on.
    const { where, params } = conditions({ ...request, ...times, untilUnixMs: times.readUntilUnixMs })
    const list = `SELECT ${request.aggregate ? AGGREGATED : RAW} FROM ${this.#table} AS f WHERE ${where}${
      request.aggregate ? ` GROUP BY ${KEY}` : ''
    } ORDER BY ${orderOf(request)} LIMIT {limit:UInt32} OFFSET {skip:UInt64}`
    return (await this.#store.query<Row>(list, { ...params, limit, skip }, limits)).map(toFlow)
  }
}

/** Where a page begins. */
interface Position {
  times: {
    sinceUnixMs: number
    untilUnixMs: number
    /** Pages by time: that of the last flow given. Else as untilUnixMs. */
    readUntilUnixMs: number
  }
  /** Flows from there on that were given already. */
  skip: number
}

function positionOf(request: QueryFlowsRequest, now: number): Position {
  const [since, until, readUntil, skip] = readPageToken(listOf(request), request.pageToken) ?? []
  if (since !== undefined) {
    const times = {
      sinceUnixMs: Number(since),
      untilUnixMs: Number(until),
      readUntilUnixMs: Number(readUntil),
    }
    return { times, skip: Number(skip) }
  }
  const untilUnixMs = request.untilUnixMs || now
  const sinceUnixMs = request.sinceUnixMs || untilUnixMs - HOUR_MS
  return { times: { sinceUnixMs, untilUnixMs, readUntilUnixMs: untilUnixMs }, skip: 0 }
}

/** By time the next page begins at the last flow's, so that a far page costs no more than the first; else it counts. */
function after(request: QueryFlowsRequest, { times, skip }: Position, flows: readonly Flow[]): Position {
  const last = flows.at(-1)?.timeUnixMs
  if (orderName(request) !== 'time' || last === undefined) return { times, skip: skip + flows.length }
  const atLast = flows.filter(({ timeUnixMs }) => timeUnixMs === last).length
  const stillThere = last === times.readUntilUnixMs ? skip : 0
  return { times: { ...times, readUntilUnixMs: last }, skip: stillThere + atLast }
}

function tokenAfter(request: QueryFlowsRequest, position: Position, flows: readonly Flow[]): string {
  const { times, skip } = after(request, position, flows)
  const { sinceUnixMs, untilUnixMs, readUntilUnixMs } = times
  return pageToken(listOf(request), sinceUnixMs, untilUnixMs, readUntilUnixMs, skip)
}

/** What a page is a page of. */
function listOf(request: QueryFlowsRequest): string {
  const { host, src, dst, protocol, port, agent } = request
  return JSON.stringify(['flows', orderName(request), host, src, dst, protocol, port, agent])
}

function orderName({ orderBy, aggregate }: QueryFlowsRequest): string {
  return aggregate ? `sums by ${orderBy || 'time'}` : orderBy || 'time'
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

/** The key behind it makes the order the same for every page. */
function orderOf({ orderBy, aggregate }: QueryFlowsRequest): string {
  const ties = aggregate ? KEY : `${KEY}, agent, interface, direction, bytes, packets`
  switch (orderBy) {
    case '':
    case 'time':
      return `timeUnixMs DESC, ${ties}`
    case 'bytes':
    case 'packets':
      return `${orderBy} DESC, timeUnixMs DESC, ${ties}`
    default:
      throw invalid('order_by', `order_by '${orderBy}' is not time, bytes or packets`)
  }
}

function conditions(request: QueryFlowsRequest): { where: string; params: QueryParams } {
  const { sinceUnixMs: since, untilUnixMs: until } = request
  if (since > until) throw invalid('since_unix_ms', 'the time to start from is not before the time to end at')
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
    const [from, to] = addressRange(name, text)
    params[`${name}From`] = from
    params[`${name}To`] = to
    where.push(`(${columns.map((column) => within(column, name)).join(' OR ')})`)
  }
  checkProtocolAndPort(request)
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
