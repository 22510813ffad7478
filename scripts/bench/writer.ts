// SPDX-License-Identifier: Apache-2.0
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newFlowCounters } from '@flowdam/aggregator/internal/contracts'
import { DropCounter } from '@flowdam/aggregator/internal/drops'
import { SourceRegistry } from '@flowdam/aggregator/internal/sources/registry'
import type { SealedSegment } from '@flowdam/aggregator/internal/spool/segment'
import { Spool } from '@flowdam/aggregator/internal/spool/spool'
import { spoolOptions, zStore } from '@flowdam/aggregator/internal/store/config'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import type { Engine } from '@flowdam/aggregator/internal/store/engine'
import { insertStatement } from '@flowdam/aggregator/internal/store/insert'
import { migrate, SCHEMA_DEFAULTS } from '@flowdam/aggregator/internal/store/schema'
import { Store } from '@flowdam/aggregator/internal/store/store'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { createLogger } from '@flowdam/common'
import { RECORD_SIZE } from '@flowdam/proto'
import { type Bench, median } from './result.js'

const RUNS = 5
const SEGMENTS = 8
const RECORDS = 500_000
const TOTAL = SEGMENTS * RECORDS
const BATCH = 10_000

/**
 * Our writer, from sealed segments in the spool to countable rows, against the same engine, table and expressions
 * reading the same bytes from one file in one insert with its own settings.
 */
export const writerRatio: Bench = async ({ log }) => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-writer-'))
  try {
    const { records } = makeRecords(TOTAL, 1)
    const ours: number[] = []
    const alone: number[] = []
    const ratios: number[] = []
    // One after the other, in turns, so that a slow minute of the machine meets both.
    for (let run = 0; run < RUNS; run++) {
      const writer = await fillSpool(join(folder, 'ours'), records)
      const whole = join(folder, 'whole.seg')
      rmSync(whole, { force: true })
      const segments = writer.sealed()
      for (const { path } of segments) appendFileSync(whole, readFileSync(path))
      const one = TOTAL / (await engineAlone(join(folder, 'alone'), whole, segments, writer.sources))
      const other = TOTAL / (await ourWriter(writer))
      rmSync(join(folder, 'ours'), { recursive: true })
      alone.push(one)
      ours.push(other)
      ratios.push(other / one)
      log(`writer.ratio: ours ${Math.round(other)}, alone ${Math.round(one)} rows/s`)
    }
    const value = median(ratios)
    return [
      {
        id: 'writer.ratio',
        value,
        unit: 'of the engine alone',
        reference: {
          what: `the same engine and bytes, one file: ${Math.round(median(alone))} rows/s`,
          value: 1,
        },
        ratio: value,
        goal: 'ratio >= 0.8',
        met: value >= 0.8,
        runs: ratios,
      },
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

type Writer = Awaited<ReturnType<typeof fillSpool>>

/** A spool with sealed segments, as ingest leaves it. */
async function fillSpool(path: string, records: Buffer) {
  const config = zStore.parse({ engine: 'embedded', path })
  const log = createLogger('bench')
  log.level = 'error'
  const shared = { drops: new DropCounter(), flows: newFlowCounters(), log }
  mkdirSync(path, { recursive: true })
  const sources = new SourceRegistry(path)
  const spool = new Spool({ ...spoolOptions(config), ...shared, fsync: 'never', maxAgeMs: 1e9 })
  sources.start()
  await spool.start()
  const sourceOfIface = new Uint16Array(256)
  const origin = {
    id: 'edge1',
    clockSkewMs: 0,
    sourceOfIface,
    learnIface: (iface: number) => {
      sourceOfIface[iface] = sources.number('edge1', 'eth0', iface > 127, 'external')
    },
  }
  const bytes = BATCH * RECORD_SIZE
  for (let at = 0, seq = 1; at < records.length; at += bytes, seq++) {
    await spool.append(origin, {
      bootId: 1,
      seq,
      epochStartUnixMs: Date.now() - 5000,
      epochMs: 5000,
      records: Buffer.from(records.subarray(at, at + bytes)),
      ledgers: [],
      lost: undefined,
    })
  }
  await spool.flush()
  const sealed = () => {
    const segments: SealedSegment[] = []
    for (let segment = spool.take(); segment; segment = spool.take()) segments.push(segment)
    for (const segment of segments) spool.giveBack(segment)
    return segments
  }
  return { config, sources, spool, shared, sealed }
}

/** Seconds from the loader's start to the last segment's confirmation. */
async function ourWriter({ config, sources, spool, shared }: Writer): Promise<number> {
  const store = new Store({ config, spool, sources, ...shared })
  await store.engine.start()
  await migrate(store.engine, SCHEMA_DEFAULTS)
  const began = performance.now()
  store.start()
  while (shared.flows.stored < TOTAL) await new Promise((resolve) => setTimeout(resolve, 5))
  const seconds = (performance.now() - began) / 1000
  await expectRows(store.engine)
  await spool.stop()
  await store.stop()
  sources.stop()
  return seconds
}

async function engineAlone(
  path: string,
  file: string,
  segments: readonly SealedSegment[],
  sources: SourceRegistry,
): Promise<number> {
  const [first] = segments
  if (!first) throw new Error('no segment')
  const log = createLogger('bench')
  const engine = new EmbeddedEngine({ path: join(path, 'clickhouse'), memoryBytes: 2e9, log })
  await engine.start()
  await migrate(engine, SCHEMA_DEFAULTS)
  const day = first.days[0] ?? 0
  const statement = insertStatement(`${engine.database}.flows`, first, sources.all(), day, 'alone')
  const began = performance.now()
  await engine.load(file, (from) => statement(from).replace(/ SETTINGS .*? SELECT/, ' SELECT'))
  const seconds = (performance.now() - began) / 1000
  await expectRows(engine)
  await engine.stop()
  rmSync(path, { recursive: true })
  return seconds
}

async function expectRows(engine: Engine): Promise<void> {
  const [row] = await engine.query<{ n: string }>(
    'SELECT count() AS n FROM flowdam.flows',
    {},
    { timeoutMs: 60_000, maxMemoryBytes: 1e9 },
  )
  if (Number(row?.n) !== TOTAL) throw new Error(`${row?.n} rows of ${TOTAL}`)
}
