// SPDX-License-Identifier: Apache-2.0
//
// Attacks and the store: their rows, what a former process left there, and where an attack comes from.
import { formatPrefix, parsePrefix } from '@flowdam/common'
import type { QueryLimits, QueryParams } from '../store/engine.js'
import { addressText } from '../store/schema.js'
import type { Attack, AttackSources, SourceShare } from './attack.js'

/** What is needed of the store. */
export interface AttackStore {
  readonly isReady: boolean
  readonly engine: { readonly database: string }
  query<Row>(sql: string, params: QueryParams, limits: QueryLimits): Promise<Row[]>
}

const LIMITS: QueryLimits = { timeoutMs: 10_000, maxMemoryBytes: 500e6 }
const TOP = 10

/** The row of the table `attacks`; `details` has everything. */
export function attackRow(attack: Attack, updatedUnixMs: number): object {
  return {
    id: attack.id,
    updated: time(updatedUnixMs),
    target: attack.target,
    direction: attack.direction,
    scope: attack.scope,
    type: attack.type,
    traffic: attack.traffic,
    metric: attack.metric,
    threshold: attack.threshold,
    peak: attack.value,
    ...attack.peak,
    packets: attack.packets,
    bytes: attack.bytes,
    hostgroup: attack.hostgroup,
    started: time(attack.startedUnixMs),
    ended: time(attack.endedUnixMs),
    ban: attack.bans[0] ?? '',
    details: JSON.stringify(attack),
  }
}

/** Attacks as the store has them, newest first; none where it is not there. */
export async function storedAttacks(store: AttackStore, limit: number, id = ''): Promise<Attack[]> {
  if (!store.isReady) return []
  const rows = await store.query<{ details: string }>(
    `SELECT details FROM ${store.engine.database}.attacks FINAL WHERE details != '' AND ({id:String} = '' OR id = {id:String}) ORDER BY id DESC LIMIT {limit:UInt32}`,
    { id, limit },
    LIMITS,
  )
  return rows.map(({ details }) => JSON.parse(details) as Attack)
}

/** Who sends it, out of the flows stored so far; undefined for none. */
export async function findSources(store: AttackStore, attack: Attack): Promise<AttackSources | undefined> {
  if (!store.isReady || (attack.scope !== 'host' && attack.scope !== 'prefix')) return undefined
  const prefix = parsePrefix(attack.target)
  const last = prefix.bytes.slice()
  for (let bit = prefix.length; bit < 128; bit++) {
    last[bit >> 3] = (last[bit >> 3] as number) | (0x80 >> (bit & 7))
  }
  const own = attack.direction === 'incoming' ? 'dst_addr' : 'src_addr'
  const remote = attack.direction === 'incoming' ? 'src' : 'dst'
  const until = attack.endedUnixMs || Date.now()
  const params = {
    from: attack.startedUnixMs - 1000,
    until,
    first: ipv6Text(prefix.bytes),
    last: ipv6Text(last),
  }
  const where = `time >= fromUnixTimestamp64Milli({from:Int64}) AND time <= fromUnixTimestamp64Milli({until:Int64}) AND ${own} BETWEEN {first:IPv6} AND {last:IPv6} AND boundary = 'external'`
  const table = `${store.engine.database}.flows`
  const top = async (key: string): Promise<SourceShare[]> => {
    const rows = await store.query<{ name: string; packets: string; bytes: string }>(
      `SELECT toString(${key}) AS name, sum(packets) AS packets, sum(bytes) AS bytes FROM ${table} WHERE ${where} GROUP BY name ORDER BY sum(flows.packets) DESC LIMIT ${TOP}`,
      params,
      LIMITS,
    )
    return rows.map(({ name, packets, bytes }) => ({ name, packets: Number(packets), bytes: Number(bytes) }))
  }
  const address = `${remote}_addr`
  const addresses = await top(addressText(address))
  if (addresses.length === 0) return undefined
  const network = `tupleElement(IPv6CIDRToRange(${address}, if(startsWith(IPv6NumToString(${address}), '::ffff:'), 120, 48)), 1)`
  const prefixes = await top(network)
  const [count] = await store.query<{ distinct: string }>(
    `SELECT uniq(${address}) AS distinct FROM ${table} WHERE ${where}`,
    params,
    LIMITS,
  )
  return {
    addresses,
    prefixes: prefixes.map((share) => ({ ...share, name: networkText(share.name) })),
    ports: await top(`${remote}_port`),
    distinct: Number(count?.distinct ?? 0),
  }
}

function networkText(first: string): string {
  const { bytes } = parsePrefix(first)
  return formatPrefix(bytes, first.startsWith('::ffff:') ? 120 : 48)
}

function ipv6Text(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/(.{4})(?!$)/g, '$1:')
}

/** The text that JSONEachRow takes for a DateTime64 in UTC. */
function time(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 23).replace('T', ' ')
}
