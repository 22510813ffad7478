#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// What counting a packet costs. As a program it prints the table of docs/bpf.md: every table, every load.
import { fileURLToPath } from 'node:url'
import type { Bench } from './result.js'
import { median } from './result.js'
import { type Load, measure, medians, roomFor, TABLES, type Table } from './xdp-tables.js'

const RUNS = 7

/** xdp.cost.1: what ours costs over parsing alone, for one flow. */
export const xdpCost1: Bench = async ({ log }) => {
  log(`xdp.cost.1: ${RUNS} runs of a million packets of one flow, three programs`)
  const figures = measure({ flows: 1, order: 'uniform', capacity: roomFor(1) }, REFERENCES, RUNS)
  const parse = median(figures['parse only'])
  const runs = figures['log with index (ours)'].map((ns) => ns - parse)
  const value = median(runs)
  const reference = median(figures['percpu hash']) - parse
  return [
    {
      id: 'xdp.cost.1',
      value,
      unit: 'ns/packet over parse-only',
      reference: { what: 'percpu hash over parse-only, same run', value: reference },
      ratio: value / reference,
      goal: 'value <= 40',
      met: value <= 40,
      runs,
    },
  ]
}

/** xdp.cost.100k: ours against a percpu hash, for 100 000 flows that come in no order. */
export const xdpCost100k: Bench = async ({ log }) => {
  log(`xdp.cost.100k: ${RUNS} runs of a million packets of 100 000 flows, three programs`)
  const load: Load = { flows: 100_000, order: 'uniform', capacity: roomFor(100_000) }
  const figures = measure(load, REFERENCES, RUNS)
  const runs = figures['log with index (ours)']
  const value = median(runs)
  const reference = median(figures['percpu hash'])
  const ratio = value / reference
  return [
    {
      id: 'xdp.cost.100k',
      value,
      unit: 'ns/packet',
      reference: { what: 'percpu hash, same parser, same run', value: reference },
      ratio,
      goal: 'ratio <= 0.6',
      met: ratio <= 0.6,
      runs,
    },
  ]
}

const REFERENCES: readonly Table[] = ['parse only', 'log with index (ours)', 'percpu hash']

function printTable(): void {
  const tables = Object.keys(TABLES) as Table[]
  const loads: Load[] = [
    ...([1, 10_000, 100_000, 1_000_000] as const).flatMap((flows): Load[] =>
      (flows === 1 ? (['uniform'] as const) : (['uniform', 'zipf'] as const)).map((order) => ({
        flows,
        order,
        capacity: roomFor(flows),
      })),
    ),
    // A spoofed flood: nearly every packet a flow that finds the tables full.
    { flows: 1_000_000, order: 'uniform', capacity: 65_536 },
  ]
  process.stdout.write(
    `| flows | room for | ${tables.join(' | ')} |\n|${' --- |'.repeat(tables.length + 2)}\n`,
  )
  for (const load of loads) {
    const row = medians(measure(load, tables, RUNS))
    const cells = [`${load.flows} ${load.order}`, load.capacity, ...tables.map((table) => row[table])]
    process.stdout.write(`| ${cells.join(' | ')} |\n`)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) printTable()
