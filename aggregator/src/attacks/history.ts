// SPDX-License-Identifier: Apache-2.0
//
// Attacks and the store: their rows, and what a former process left there.
import type { QueryLimits, QueryParams } from '../store/engine.js'
import type { Attack } from './attack.js'

/** What is needed of the store. */
export interface AttackStore {
  readonly isReady: boolean
  readonly engine: { readonly database: string }
  query<Row>(sql: string, params: QueryParams, limits: QueryLimits): Promise<Row[]>
}

const LIMITS: QueryLimits = { timeoutMs: 10_000, maxMemoryBytes: 500e6 }
/** An open attack whose row is older than this has nobody. */
export const ABANDONED_MS = 600_000
const MOST_ABANDONED = 1000

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

export interface StoredAttacksQuery {
  limit: number
  /** Only this one. */
  id?: string
  /** Only those that began before the one with this id. */
  before?: string
  /** Of who asks. */
  signal?: AbortSignal
}

/** Attacks as the store has them, newest first; none where it is not there. */
export async function storedAttacks(
  store: AttackStore,
  { limit, id = '', before = '', signal }: StoredAttacksQuery,
): Promise<Attack[]> {
  if (!store.isReady) return []
  const rows = await store.query<{ details: string }>(
    `SELECT details FROM ${store.engine.database}.attacks FINAL WHERE details != '' AND ({id:String} = '' OR id = {id:String}) AND ({before:String} = '' OR id < {before:String}) ORDER BY id DESC LIMIT {limit:UInt32}`,
    { id, before, limit },
    { ...LIMITS, ...(signal && { signal }) },
  )
  return rows.map(({ details }) => JSON.parse(details) as Attack)
}

/**
 * Ends what no process follows any more: its journal is gone, or the store was down when its end was to be written. A row
 * of an attack under way is written every few seconds, whichever aggregator of this database has it.
 */
export async function endAbandoned(
  store: AttackStore,
  record: (row: object) => Promise<void>,
  nowUnixMs = Date.now(),
): Promise<void> {
  if (!store.isReady) return
  const rows = await store.query<{ details: string }>(
    `SELECT details FROM ${store.engine.database}.attacks FINAL WHERE details != '' AND ended < fromUnixTimestamp64Milli(1::Int64) AND updated < fromUnixTimestamp64Milli({before:Int64}) LIMIT ${MOST_ABANDONED}`,
    { before: nowUnixMs - ABANDONED_MS },
    LIMITS,
  )
  for (const { details } of rows) {
    const attack = JSON.parse(details) as Attack
    const ended = { endedUnixMs: attack.lastSeenUnixMs, endReason: 'nobody saw its end' }
    await record(attackRow({ ...attack, ...ended }, nowUnixMs))
  }
}

/** The text that JSONEachRow takes for a DateTime64 in UTC. */
function time(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 23).replace('T', ' ')
}
