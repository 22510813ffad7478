// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TalkerQueries, type TalkerSource } from '@flowdam/aggregator/internal/flows/talkers'
import { Turns } from '@flowdam/aggregator/internal/flows/turns'
import type { Source } from '@flowdam/aggregator/internal/sources/registry'
import type { SealedSegment } from '@flowdam/aggregator/internal/spool/segment'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import { insertStatement } from '@flowdam/aggregator/internal/store/insert'
import {
  hourStatement,
  minutesStatement,
  ROLLUP_KEYS,
} from '@flowdam/aggregator/internal/store/rollup/statements'
import { migrate, SCHEMA_DEFAULTS } from '@flowdam/aggregator/internal/store/schema'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { createLogger } from '@flowdam/common'
import { Direction, type TopTalkersRequest, type TopTalkersResponse } from '@flowdam/proto'
import { type Bench, type BenchResult, median } from './result.js'

const ROWS = 100e6
const RUNS = 3
const HOUR_S = 3600
const HOURS = 24
const LIMITS = { timeoutMs: 60_000, maxMemoryBytes: 1e9 }
const PLACE = { database: 'flowdam' }
/** Beside the rows, for merging. */
const BYTES_PER_ROW = 80
const LOADED = 500_000
const LOADS = 12

/**
 * Top talkers of the last hour and of the last day out of a day of flows, from sums and from every flow; and what
 * such queries, one after the other, cost the loading that goes on beside them.
 */
export const storeQuery: Bench = async ({ log, rows: wanted }) => {
  const rows = wanted ?? ROWS
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-query-'))
  const { bavail, bsize } = statfsSync(folder)
  if (bavail * bsize < rows * BYTES_PER_ROW) throw new Error(`${rows} rows need more room in ${tmpdir()}`)
  const engine = new EmbeddedEngine({
    path: join(folder, 'clickhouse'),
    memoryBytes: 2e9,
    log: createLogger('bench'),
  })
  try {
    await engine.start()
    await migrate(engine, SCHEMA_DEFAULTS)
    const endS = Math.floor(Date.now() / 1000 / HOUR_S) * HOUR_S + HOUR_S / 2
    await fill(engine, rows, endS, log)
    const talkers = new TalkerQueries(sourceOf(engine, endS), new Turns())
    const results: BenchResult[] = []
    for (const [name, hours] of [
      ['hour', 1],
      ['day', HOURS],
    ] as const) {
      const ask = (raw: boolean) => measure(() => talkers.query(request(endS, hours, raw)))
      const sums = await ask(false)
      const flows = await ask(true)
      for (const { answer, seconds } of [sums, flows]) {
        log(
          `store.query.${name}: ${answer.tables.join('+')}: ${seconds.toFixed(3)} s, ${answer.rowsRead} rows read, ${answer.totalFlows} flows summed`,
        )
      }
      if (JSON.stringify(sums.answer.talkers) !== JSON.stringify(flows.answer.talkers))
        throw new Error('sums and flows do not give the same talkers')
      results.push({
        id: `store.query.${name}`,
        value: sums.seconds,
        unit: 's, from sums',
        reference: { what: `s, from ${flows.answer.rowsRead / 1e6} M rows read`, value: flows.seconds },
        ratio: sums.seconds / flows.seconds,
        goal: 'ratio <= 0.5, the same answer',
        met: sums.seconds <= flows.seconds / 2,
        runs: sums.runs,
      })
    }
    results.push(await beside(engine, folder, talkers, endS, log))
    return results
  } finally {
    await engine.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A day of flows, a few hosts with much of it; straight in the engine, an hour an insert, and its sums. */
async function fill(
  engine: EmbeddedEngine,
  rows: number,
  endS: number,
  log: (line: string) => void,
): Promise<void> {
  const began = performance.now()
  const perHour = Math.ceil(rows / HOURS)
  for (let hour = 0; hour < HOURS; hour++) {
    const fromS = endS - (HOURS - hour) * HOUR_S
    await engine.background(`INSERT INTO flowdam.flows SELECT
      fromUnixTimestamp64Milli(toInt64(${fromS * 1000} + intDiv(number * ${HOUR_S * 1000}, ${perHour})), 'UTC'), rand32(1) % 5000, 'edge1', 'eth0',
      if(own_first, 'egress', 'ingress'), 'external', if(own_first, own, remote), if(own_first, remote, own),
      if(own_first, service, client), if(own_first, client, service), if(service = 53, 17, 6), 0, 24, 0, 64, 0,
      1 + rand32(2) % 10 + if(rand32(3) % 50 = 0, rand32(4) % 2000, 0) AS p, p * (60 + rand32(5) % 1400), 1, 0
      FROM (SELECT number, rand32(6) % 2 = 0 AS own_first,
        toIPv6(concat('::ffff:', IPv4NumToString(toUInt32(3405803776 + toUInt32(50000 * pow(rand32(7) / 4294967296, 3)))))) AS own,
        toIPv6(concat('::ffff:', IPv4NumToString(toUInt32(bitOr(16777216, rand32(8)))))) AS remote,
        arrayElement([443, 443, 443, 53, 80, 22, 8080, 25], 1 + rand32(9) % 8) AS service, 10000 + rand32(10) % 50000 AS client
        FROM numbers(${perHour})) SETTINGS max_threads = 2, max_insert_threads = 2`)
  }
  log(`store.query: ${perHour * HOURS} rows in ${((performance.now() - began) / 1000).toFixed(0)} s`)
  const summing = performance.now()
  for (let fromS = endS - HOURS * HOUR_S; fromS < endS; fromS += HOUR_S / 2) {
    for (const key of ROLLUP_KEYS)
      await engine.background(minutesStatement(PLACE, key, fromS, fromS + HOUR_S / 2))
  }
  for (let hour = Math.floor(endS / HOUR_S) - HOURS; hour <= Math.floor(endS / HOUR_S); hour++)
    for (const key of ROLLUP_KEYS) await engine.background(hourStatement(PLACE, key, hour * HOUR_S))
  const sizes = await engine.query<{ table: string; rows: string; bytes: string }>(
    "SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database = 'flowdam' GROUP BY table HAVING rows > 100 ORDER BY table",
    {},
    LIMITS,
  )
  const text = sizes.map(
    ({ table, rows, bytes }) => `${table} ${rows} rows, ${(Number(bytes) / 1e6).toFixed(0)} MB`,
  )
  log(`store.query: sums in ${((performance.now() - summing) / 1000).toFixed(0)} s; ${text.join('; ')}`)
}

/** As the store is while it keeps up: all is summed but the last minute. */
function sourceOf(engine: EmbeddedEngine, endS: number): TalkerSource {
  const last = endS / 60 - 1
  return {
    engine,
    rollups: {
      summed: () => ({ minute: (minute) => minute < last, hour: (hour) => hour * 60 + 59 < last }),
    },
    retentionMs: { flows: SCHEMA_DEFAULTS.retentionMs, minutes: SCHEMA_DEFAULTS.minutesRetentionMs },
    query: (sql, params, limits) => engine.query(sql, params, limits),
  }
}

function request(endS: number, hours: number, raw: boolean): TopTalkersRequest {
  return {
    sinceUnixMs: (endS - hours * HOUR_S) * 1000,
    untilUnixMs: endS * 1000,
    of: 'host',
    by: 'bytes',
    direction: Direction.DIRECTION_INCOMING,
    host: '',
    protocol: 0,
    port: 0,
    agent: '',
    limit: 20,
    raw,
  }
}

async function measure(ask: () => Promise<TopTalkersResponse>) {
  const runs: number[] = []
  let answer = await ask()
  for (let run = 0; run < RUNS; run++) {
    const began = performance.now()
    answer = await ask()
    runs.push((performance.now() - began) / 1000)
  }
  return { answer, runs, seconds: median(runs) }
}

/** Segments into the same table, two at a time: alone, and while somebody asks for the last day again and again. */
async function beside(
  engine: EmbeddedEngine,
  folder: string,
  talkers: TalkerQueries,
  endS: number,
  log: (line: string) => void,
): Promise<BenchResult> {
  const path = join(folder, 'load.seg')
  writeFileSync(path, makeRecords(LOADED, 1).records)
  let token = 0
  const load = async (): Promise<number> => {
    const began = performance.now()
    const worker = async () => {
      for (let i = 0; i < LOADS / 2; i++) {
        const { segment, day } = segmentOf(path, endS)
        const name = `beside-${token++}`
        await engine.load(path, insertStatement('flowdam.flows', segment, SOURCES, day, name))
      }
    }
    await Promise.all([worker(), worker()])
    return (LOADED * LOADS) / ((performance.now() - began) / 1000)
  }
  await load()
  const results: Record<'alone' | 'sums' | 'flows', number[]> = { alone: [], sums: [], flows: [] }
  const asked = { sums: 0, flows: 0 }
  for (let run = 0; run < RUNS; run++) {
    results.alone.push(await load())
    for (const kind of ['sums', 'flows'] as const) {
      let loading = true
      const asking = (async () => {
        while (loading) {
          await talkers.query(request(endS, HOURS, kind === 'flows'))
          asked[kind]++
        }
      })()
      results[kind].push(await load())
      loading = false
      await asking
    }
  }
  const [alone, sums, flows] = [median(results.alone), median(results.sums), median(results.flows)]
  log(
    `store.query.beside: loading ${Math.round(alone)} rows/s alone, ${Math.round(sums)} beside queries of sums (${asked.sums}), ${Math.round(flows)} beside queries of all flows (${asked.flows})`,
  )
  return {
    id: 'store.query.beside',
    value: flows,
    unit: 'rows/s loaded beside queries of a day’s flows without a pause',
    reference: { what: 'rows/s alone, on the same two CPUs', value: alone },
    ratio: flows / alone,
    goal: 'ratio >= 0.5',
    met: flows >= alone / 2,
    runs: results.flows,
  }
}

const SOURCES: Source[] = []

function segmentOf(path: string, endS: number): { segment: SealedSegment; day: number } {
  const baseUnixMs = endS * 1000
  const day = Math.floor(baseUnixMs / 86_400_000) * 86_400_000
  return {
    day,
    segment: {
      number: 1,
      id: 'bench',
      key: 1n,
      path,
      rows: LOADED,
      bytes: LOADED * 64,
      baseUnixMs,
      createdUnixMs: baseUnixMs,
      minUnixMs: baseUnixMs,
      maxUnixMs: baseUnixMs + 5000,
      days: [day],
      agents: new Set(['edge1']),
      recovered: false,
    },
  }
}
