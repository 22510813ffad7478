// SPDX-License-Identifier: Apache-2.0
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newFlowCounters } from '@flowdam/aggregator/internal/contracts'
import { DropCounter } from '@flowdam/aggregator/internal/drops'
import { SourceRegistry } from '@flowdam/aggregator/internal/sources/registry'
import type { SealedSegment } from '@flowdam/aggregator/internal/spool/segment'
import { Spool } from '@flowdam/aggregator/internal/spool/spool'
import { spoolOptions, zStore } from '@flowdam/aggregator/internal/store/config'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import { insertStatement } from '@flowdam/aggregator/internal/store/insert'
import { migrate } from '@flowdam/aggregator/internal/store/schema'
import { Store } from '@flowdam/aggregator/internal/store/store'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { createLogger } from '@flowdam/common'
import { type Bench, median } from './result.js'

const RUNS = 5
const SEGMENTS = 8
const RECORDS = 500_000
const TOTAL = SEGMENTS * RECORDS

/**
 * Our writer, from sealed segments in the spool to countable rows, against the same engine, table and expressions
 * reading the same bytes from one file in one insert with its own settings.
 */
export const writerRatio: Bench = async ({ log }) => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-writer-'))
  try {
    const { segments, sources } = await prepare(join(folder, 'prepared'))
    const whole = join(folder, 'whole.seg')
    for (const { path } of segments) appendFileSync(whole, readFileSync(path))
    const ours: number[] = []
    const alone: number[] = []
    const ratios: number[] = []
    // One after the other, in turns, so that a slow minute of the machine meets both.
    for (let run = 0; run < RUNS; run++) {
      const one = TOTAL / (await engineAlone(join(folder, 'alone'), whole, segments, sources))
      const other = TOTAL / (await ourWriter(join(folder, 'prepared'), join(folder, 'ours')))
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
        reference: { what: 'the same engine, the same bytes, one file: 1', value: 1 },
        ratio: value,
        goal: 'ratio >= 0.8',
        met: value >= 0.8,
        runs: ratios,
      },
      {
        id: 'writer.rows',
        value: median(ours),
        unit: 'rows/s',
        reference: { what: 'the same engine, the same bytes, one file, rows/s', value: median(alone) },
        ratio: median(ours) / median(alone),
        goal: 'ratio >= 0.8',
        met: median(ours) / median(alone) >= 0.8,
        runs: ours,
      },
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function parts(path: string) {
  const config = zStore.parse({ engine: 'embedded', path })
  const log = createLogger('bench')
  log.level = 'error'
  const shared = { drops: new DropCounter(), flows: newFlowCounters(), log }
  const sources = new SourceRegistry(path)
  const spool = new Spool({ ...spoolOptions(config), ...shared, fsync: 'never', maxAgeMs: 1e9 })
  return { config, sources, spool, shared }
}

async function prepare(path: string): Promise<{ segments: SealedSegment[]; sources: SourceRegistry }> {
  const { sources, spool } = parts(makeFolder(path))
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
  const batch = 10_000
  for (let seq = 1; seq <= TOTAL / batch; seq++) {
    const { records } = makeRecords(batch, seq)
    const epochStartUnixMs = Date.now() - 5000
    await spool.append(origin, { bootId: 1, seq, epochStartUnixMs, epochMs: 5000, records, ledgers: [] })
  }
  await spool.flush()
  const segments: SealedSegment[] = []
  for (let segment = spool.take(); segment; segment = spool.take()) segments.push(segment)
  await spool.stop()
  return { segments, sources }
}

/** Seconds from the loader's start to the last segment's confirmation. */
async function ourWriter(prepared: string, path: string): Promise<number> {
  cpSync(prepared, path, { recursive: true })
  const { config, sources, spool, shared } = parts(path)
  sources.start()
  await spool.start()
  const store = new Store({ config, spool, sources, ...shared })
  await store.engine.start()
  await migrate(store.engine, { retentionMs: config.retention, order: config.order })
  const began = performance.now()
  store.start()
  while (shared.flows.stored < TOTAL) await new Promise((resolve) => setTimeout(resolve, 5))
  const seconds = (performance.now() - began) / 1000
  await expectRows(store.engine as EmbeddedEngine)
  await spool.stop()
  await store.stop()
  sources.stop()
  rmSync(path, { recursive: true })
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
  await migrate(engine, { retentionMs: 15 * 86_400_000, order: 'time' })
  const day = first.days[0] ?? 0
  const statement = insertStatement(engine.database, first, sources.all(), day, 'alone')
  const began = performance.now()
  await engine.load(file, (from) => statement(from).replace(/ SETTINGS .*? SELECT/, ' SELECT'))
  const seconds = (performance.now() - began) / 1000
  await expectRows(engine)
  await engine.stop()
  rmSync(path, { recursive: true })
  return seconds
}

async function expectRows(engine: EmbeddedEngine): Promise<void> {
  const [row] = await engine.query<{ n: string }>(
    'SELECT count() AS n FROM flowdam.flows',
    {},
    { timeoutMs: 60_000, maxMemoryBytes: 1e9 },
  )
  if (Number(row?.n) !== TOTAL) throw new Error(`${row?.n} rows of ${TOTAL}`)
}

function makeFolder(path: string): string {
  mkdirSync(path, { recursive: true })
  return path
}
