// SPDX-License-Identifier: Apache-2.0
//
// bpf/bench/bench.bpf.c: the same packet, the same parser, one program for each table, BPF_PROG_TEST_RUN.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { BpfObject, type Geometry, geometry, mapEntries, SETTINGS_SIZE, SettingsOffset } from '@flowdam/agent'
import { FlowMaps } from '@flowdam/agent/internal/kernel/flow-maps'
import { coarseClock } from '@flowdam/agent/internal/kernel/libbpf'
import { FlowdamError } from '@flowdam/common'
import { median } from './result.js'

const OBJECT = new URL('../../../build/bench.bpf.o', import.meta.url).pathname

/** Programs of the bench object by what they count in. */
export const TABLES = {
  'parse only': 'bench_parse',
  'log with index (ours)': 'bench_ours',
  'log, bucket index': 'bench_bucket',
  'log, linear index': 'bench_linear',
  'log, index line': 'bench_line',
  'percpu hash': 'bench_percpu_hash',
  'hash + atomics': 'bench_shared_hash',
  'LRU hash': 'bench_lru_hash',
} as const
export type Table = keyof typeof TABLES

export interface Load {
  /** Flows that the packets belong to. */
  flows: number
  order: 'uniform' | 'zipf'
  /** Flows that each table has room for; fewer than flows makes it a flood into full tables. */
  capacity: number
}

/** As many as a user would provide for: the agent's default, or the next power of two. */
export function roomFor(flows: number): number {
  let capacity = 65_536
  while (capacity < flows) capacity *= 2
  return capacity
}

const CHOICES = 1 << 20
/** One round over all choices: every table sees the same flows in the same order. */
const REPEAT = CHOICES

/** Nanoseconds per packet, one figure a run; the tables take turns so that a disturbance hits all alike. */
export function measure(load: Load, tables: readonly Table[], runs: number): Record<Table, number[]> {
  stayOnOneCpu()
  const object = open(load.capacity)
  try {
    const sizes = setSizes(object, load.capacity)
    object.choosePrograms(tables.map((table) => TABLES[table]))
    object.load()
    const maps = FlowMaps.of(object, sizes)
    writeChoices(new Uint32Array(object.map('bench_choices').memory()), load)
    const figures = Object.fromEntries(tables.map((table) => [table, [] as number[]])) as Record<
      Table,
      number[]
    >
    for (let run = 0; run < runs; run++) {
      for (const table of tables) {
        // The three logs share flow_log: each begins with an empty one, and its first round fills it.
        for (let part = 0; part < sizes.nrParts; part++) maps.clear(0, part)
        maps.startEpoch(0, coarseClock())
        clearOthers(object)
        const program = object.program(TABLES[table])
        program.testRun(PACKET, { repeat: REPEAT })
        const { durationNs, retval } = program.testRun(PACKET, { repeat: REPEAT })
        if (retval === 0) throw new FlowdamError('FD_BENCH', `${TABLES[table]} did not parse the packet`)
        figures[table].push(durationNs)
      }
    }
    maps.close()
    return figures
  } finally {
    object.close()
  }
}

/** The medians of measure. */
export function medians(figures: Readonly<Record<Table, number[]>>): Partial<Record<Table, number>> {
  return Object.fromEntries(Object.entries(figures).map(([table, runs]) => [table, median(runs)]))
}

function open(capacity: number): BpfObject {
  if (!existsSync(OBJECT)) {
    throw new FlowdamError('FD_BENCH', `there is no ${OBJECT}`, { remedy: 'npm run build:native' })
  }
  const object = BpfObject.open(OBJECT)
  for (const name of ['percpu_hash', 'shared_hash', 'lru_hash']) object.map(name).setMaxEntries(capacity)
  return object
}

function setSizes(object: BpfObject, capacity: number): Geometry {
  const sizes = geometry(highestCpu() + 1, capacity)
  for (const [name, entries] of Object.entries(mapEntries(sizes))) object.map(name).setMaxEntries(entries)
  const buckets = mapEntries(sizes).flow_index
  object.map('line_index').setMaxEntries(buckets)
  object.map('linear_index').setMaxEntries(buckets * 16)
  const settings = object.maps.map((map) => (map.name.includes('rodata') ? map.initialValue() : undefined))
  const memory = settings.find((bytes) => bytes?.byteLength === SETTINGS_SIZE)
  if (!memory) throw new FlowdamError('FD_BENCH', 'the bench object has no settings')
  const view = new DataView(memory)
  view.setUint32(SettingsOffset.nrCpus, sizes.nrCpus, true)
  view.setUint32(SettingsOffset.flowSlots, sizes.flowSlots, true)
  view.setUint32(SettingsOffset.indexBuckets, sizes.indexBuckets, true)
  return sizes
}

/** The indexes that only the bench has. */
function clearOthers(object: BpfObject): void {
  for (const name of ['linear_index', 'line_index']) new Uint32Array(object.map(name).memory()).fill(0)
}

/** Which flow each packet belongs to; a fixed seed makes all runs the same. */
function writeChoices(words: Uint32Array, { flows, order }: Load): void {
  const random = xorshift(0x2545f491)
  const zipf = order === 'zipf' ? zipfTable(flows) : undefined
  for (let i = 0; i < CHOICES; i++) {
    const uniform = random() / 2 ** 32
    words[i * 2] = zipf ? upperBound(zipf, uniform) : Math.floor(uniform * flows)
    words[i * 2 + 1] = 0
  }
}

function xorshift(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

/** Cumulated shares of flows whose packets fall with 1/rank (exponent 1), as those of real links nearly do. */
function zipfTable(flows: number): Float64Array {
  const cumulated = new Float64Array(flows)
  let sum = 0
  for (let rank = 0; rank < flows; rank++) {
    sum += 1 / (rank + 1)
    cumulated[rank] = sum
  }
  return cumulated.map((share) => share / sum)
}

function upperBound(sorted: Float64Array, value: number): number {
  let low = 0
  let high = sorted.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] ?? 1) < value) low = middle + 1
    else high = middle
  }
  return low
}

/** 64 bytes: Ethernet, IPv4, UDP. */
const PACKET = Buffer.from(
  `020000000001020000000002080045000032123400004011000000000000cb007105${'9c400035001e0000'}${'5a'.repeat(22)}`,
  'hex',
)

function stayOnOneCpu(): void {
  const cpu = String(highestCpu())
  spawnSync('taskset', ['-cp', cpu, String(process.pid)])
}

function highestCpu(): number {
  const allowed = spawnSync('nproc', ['--all'], { encoding: 'utf8' }).stdout
  return Number(allowed) - 1
}
