// SPDX-License-Identifier: Apache-2.0
import { Direction, type Talker, type TopTalkersRequest, type TopTalkersResponse } from '@flowdam/proto'
import type { QueryLimits, QueryParams } from '../store/engine.js'
import type { Summed } from '../store/rollup/rollups.js'
import { addressText } from '../store/schema.js'
import { addressRange, checkProtocolAndPort, invalid } from './input.js'
import { answerable, type Kept, type Piece, piecesOf, type Resolution } from './pieces.js'
import { type Asker, limitsFor, PATIENT_ASKER, type Totals, type Turns } from './turns.js'

const DEFAULT_LIMIT = 20
const MAX_LIMIT = 1000
const HOUR_MS = 3_600_000
/** Scattered over more pieces than this, one look at the flows is cheaper. */
const MOST_PIECES = 200

/** What is needed of the store. */
export interface TalkerSource {
  readonly engine: { readonly database: string }
  /** Undefined where there are no sums. */
  readonly rollups: { summed(): Summed } | undefined
  readonly retentionMs: { flows: number; minutes: number }
  query<Row>(sql: string, params: QueryParams, limits: QueryLimits): Promise<Row[]>
}

/** What is summed by: its expressions on flows, and the sums that have them as columns. */
interface Subject {
  /** Names of the key's columns. */
  key: readonly string[]
  /** Prefix of the sums' tables; undefined where only flows can tell. */
  sums: 'host' | 'port' | undefined
  /** Filters that the sums can apply; direction always. */
  filters: readonly Filter[]
}

type Filter = 'host' | 'protocol' | 'port' | 'agent'

const SUBJECTS: Readonly<Record<string, Subject>> = {
  host: { key: ['host'], sums: 'host', filters: ['host'] },
  remote: { key: ['remote'], sums: undefined, filters: [] },
  port: { key: ['protocol', 'port'], sums: 'port', filters: ['protocol', 'port'] },
  protocol: { key: ['protocol'], sums: 'port', filters: ['protocol', 'port'] },
}
const WAYS: Readonly<Record<number, string>> = {
  [Direction.DIRECTION_INCOMING]: 'incoming',
  [Direction.DIRECTION_OUTGOING]: 'outgoing',
}
const RESOLUTIONS: readonly Resolution[] = ['hours', 'minutes', 'flows']
const ORDERS = ['bytes', 'packets', 'flows']

/** As the sums have it (store/rollup/statements.ts), and what they lack. */
const OF_FLOW: Readonly<Record<string, string>> = {
  way: "if(f.direction = 'ingress', 'incoming', 'outgoing')",
  host: "if(f.direction = 'ingress', f.dst_addr, f.src_addr)",
  remote: "if(f.direction = 'ingress', f.src_addr, f.dst_addr)",
  protocol: 'f.protocol',
  port: 'least(f.src_port, f.dst_port)',
  agent: 'f.agent',
}

/** Who or what had most traffic, from hours and minutes that are summed, and from flows for the rest of the time. */
export class TalkerQueries {
  readonly #store: TalkerSource
  readonly #turns: Turns

  constructor(store: TalkerSource, turns: Turns) {
    this.#store = store
    this.#turns = turns
  }

  /** Throws FD_QUERY_INVALID, FD_QUERY_BUSY, FD_QUERY_FAILED. */
  async query(request: TopTalkersRequest, asker: Asker = PATIENT_ASKER): Promise<TopTalkersResponse> {
    const began = performance.now()
    const subject = SUBJECTS[request.of || 'host']
    if (!subject) throw invalid('of', `of '${request.of}' is not ${Object.keys(SUBJECTS).join(', ')}`)
    const by = request.by || 'bytes'
    if (!ORDERS.includes(by)) throw invalid('by', `by '${by}' is not ${ORDERS.join(', ')}`)
    if (request.direction !== Direction.DIRECTION_UNSPECIFIED && !WAYS[request.direction]) {
      throw invalid('direction', `direction ${request.direction} is not known`)
    }
    const { filters, params } = filtersOf(request)
    const usable = subject.sums && filters.every(({ name }) => subject.filters.includes(name))
    const { pieces, fromMs, toMs } = this.#plan(request, usable ? this.#store.rollups?.summed() : undefined)
    const from = this.#from(subject, pieces, filters, WAYS[request.direction])
    const key = subject.key.join(', ')
    const sums = 'sum(t.flows) AS flows, sum(t.packets) AS packets, sum(t.bytes) AS bytes'
    const shown = subject.key.map((name) =>
      name === 'host' || name === 'remote'
        ? `${addressText(`t.${name}`)} AS address`
        : `t.${name} AS ${name}`,
    )
    let rowsRead = 0
    const limits = () => ({
      ...limitsFor(asker, began),
      onRead: (rows: number) => {
        rowsRead += rows
      },
    })
    const limit = Math.min(request.limit || DEFAULT_LIMIT, MAX_LIMIT)
    return this.#turns.run(asker.signal, async () => {
      const rows = await this.#store.query<Row>(
        `SELECT ${shown.join(', ')}, flows, packets, bytes FROM (SELECT ${key}, ${sums} FROM (${from(subject.key)}) AS t GROUP BY ${key} ORDER BY ${by} DESC, ${key} LIMIT {limit:UInt32}) AS t ORDER BY ${by} DESC, ${key}`,
        { ...params, limit },
        limits(),
      )
      const [total] = await this.#store.query<Totals>(
        `SELECT ${sums} FROM (${from([])}) AS t`,
        params,
        limits(),
      )
      return {
        talkers: rows.map(toTalker),
        totalFlows: Number(total?.flows ?? 0),
        totalPackets: Number(total?.packets ?? 0),
        totalBytes: Number(total?.bytes ?? 0),
        elapsedMs: Math.round(performance.now() - began),
        fromUnixMs: fromMs,
        toUnixMs: toMs,
        rowsRead,
        tables: RESOLUTIONS.filter((one) => pieces.some((piece) => piece.from === one)),
      }
    })
  }

  #plan(request: TopTalkersRequest, summed: Summed | undefined) {
    const now = Date.now()
    const until = request.untilUnixMs || now
    const since = request.sinceUnixMs || until - HOUR_MS
    if (since >= until)
      throw invalid('since_unix_ms', 'the time to start from is not before the time to end at')
    const everything: Piece = { from: 'flows', fromMs: since, toMs: until }
    if (request.raw || !summed) return { pieces: [everything], fromMs: since, toMs: until }
    const { flows, minutes } = this.#store.retentionMs
    const kept: Kept = { flowsMs: now - flows, minutesMs: now - minutes }
    const [fromMs, toMs] = answerable(Math.max(since, now - MAX_AGE_MS), until, kept)
    const pieces = piecesOf(fromMs, toMs, summed)
    return { pieces: pieces.length > MOST_PIECES ? [everything] : pieces, fromMs, toMs }
  }

  /** What to read, as a function of the key's columns. Times are ours, computed; what people wrote is in parameters. */
  #from(subject: Subject, pieces: readonly Piece[], filters: readonly FilterText[], way: string | undefined) {
    const db = this.#store.engine.database
    return (key: readonly string[]): string => {
      const parts = RESOLUTIONS.flatMap((from) => {
        const times = pieces.filter((piece) => piece.from === from)
        if (times.length === 0) return []
        const raw = from === 'flows'
        const column = (name: string) =>
          raw ? (OF_FLOW[name] as string) : `f.${name === 'way' ? 'direction' : name}`
        const where = [
          `(${times.map((time) => between(from, time)).join(' OR ')})`,
          ...(raw ? ["f.boundary = 'external'"] : []),
          ...(way ? [`${column('way')} = '${way}'`] : []),
          ...filters.map(({ name, text }) => text(column(name))),
        ]
        const columns = key.map((name) => `${column(name)} AS ${name}`)
        const amounts = [raw ? 'toUInt64(1)' : 'f.flows', 'toUInt64(f.packets)', 'f.bytes']
        const named = ['flows', 'packets', 'bytes'].map((name, i) => `${amounts[i]} AS ${name}`)
        const table = raw ? `${db}.flows AS f` : `${db}.${subject.sums}_${from} AS f FINAL`
        return [`SELECT ${[...columns, ...named].join(', ')} FROM ${table} WHERE ${where.join(' AND ')}`]
      })
      return parts.join(' UNION ALL ')
    }
  }
}

/** Sums are never kept longer. */
const MAX_AGE_MS = 10 * 365 * 86_400_000

function between(from: Resolution, { fromMs, toMs }: Piece): string {
  if (from === 'flows') {
    const last = Math.floor(toMs)
    return `f.time >= fromUnixTimestamp64Milli(${Math.floor(fromMs)}) AND f.time < fromUnixTimestamp64Milli(${last})`
  }
  const column = from === 'hours' ? 'f.hour' : 'f.minute'
  return `${column} >= toDateTime(${fromMs / 1000}, 'UTC') AND ${column} < toDateTime(${toMs / 1000}, 'UTC')`
}

interface FilterText {
  name: Filter
  text: (column: string) => string
}

function filtersOf(request: TopTalkersRequest): { filters: FilterText[]; params: QueryParams } {
  const filters: FilterText[] = []
  const params: Record<string, string | number> = {}
  checkProtocolAndPort(request)
  if (request.host !== '') {
    const [first, last] = addressRange('host', request.host)
    Object.assign(params, { first, last })
    filters.push({ name: 'host', text: (column) => `${column} BETWEEN {first:IPv6} AND {last:IPv6}` })
  }
  if (request.protocol > 0) {
    params['protocol'] = request.protocol
    filters.push({ name: 'protocol', text: (column) => `${column} = {protocol:UInt8}` })
  }
  if (request.port > 0) {
    params['port'] = request.port
    filters.push({ name: 'port', text: (column) => `${column} = {port:UInt16}` })
  }
  if (request.agent !== '') {
    params['agent'] = request.agent
    filters.push({ name: 'agent', text: (column) => `${column} = {agent:String}` })
  }
  return { filters, params }
}

type Row = Partial<Record<keyof Talker, string | number>>

function toTalker(row: Row): Talker {
  return {
    address: String(row.address ?? ''),
    protocol: Number(row.protocol ?? 0),
    port: Number(row.port ?? 0),
    flows: Number(row.flows),
    packets: Number(row.packets),
    bytes: Number(row.bytes),
  }
}
