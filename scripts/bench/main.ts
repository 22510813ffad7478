#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { formatRate, parseRate } from '@flowdam/common'
import { agentCpu } from './agent-cpu.js'
import { attackDetail } from './attack-detail.js'
import { detectorTick, detectorTickLearned } from './detector.js'
import { drain } from './drain.js'
import { floodLatency } from './flood-latency.js'
import { flowWatch } from './flow-watch.js'
import { hookLatency } from './hook-latency.js'
import { storeQuery } from './query.js'
import type { Bench, BenchResult } from './result.js'
import { e2eFlows, e2eFlowsAttacked, streamLoopback, writerRatio } from './store.js'
import { streamFar } from './stream-far.js'
import { xdpCost1, xdpCost100k } from './xdp-cost.js'

/** In the packets' order; one function may give several figures. */
const BENCHES: Readonly<Record<string, Bench>> = {
  'xdp.cost.1': xdpCost1,
  'xdp.cost.100k': xdpCost100k,
  drain: drain,
  'agent.cpu': agentCpu,
  'stream.loopback': streamLoopback,
  'stream.rtt20': streamFar(20),
  'stream.rtt100': streamFar(100),
  'detector.tick.1m': detectorTick,
  'detector.tick.1m.learned': detectorTickLearned,
  'attack.detail': attackDetail,
  'flow.watch': flowWatch,
  'detect.hook': hookLatency,
  'detect.latency.1.5x': floodLatency(1.5),
  'detect.latency.2x': floodLatency(2),
  'detect.latency.5x': floodLatency(5),
  'detect.latency.10x': floodLatency(10),
  'writer.ratio': writerRatio,
  'e2e.flows': e2eFlows,
  'e2e.flows.attacked': e2eFlowsAttacked,
  'store.query.100m': storeQuery,
}

const HELP = `npm run bench [-- [ID…] [--json FILE] [--seconds N]]

Measures Flowdam on this machine, each figure beside a reference. Needs root and the build.

  ID              ${Object.keys(BENCHES).join(', ')} (default: all)
  --json FILE     also writes the figures as JSON; '-' writes only that to standard output
  --seconds N     how long the long ones run (e2e.flows: 60)
  --rows N        flows that store.query.100m looks through (100M: 3 GB of disk for some minutes)
  --help          this text

Exit status: 0 all measured (met or not), 1 a measurement failed, 2 wrong options.
`

interface Options {
  ids: string[]
  json: string | undefined
  seconds: number | undefined
  rows: number | undefined
}

function readOptions(): Options | undefined {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'string' },
      seconds: { type: 'string' },
      rows: { type: 'string' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) return undefined
  const unknown = positionals.find((id) => !BENCHES[id])
  if (unknown) throw new Error(`unknown figure '${unknown}'`)
  const seconds = values.seconds === undefined ? undefined : Number(values.seconds)
  if (seconds !== undefined && !(seconds > 0))
    throw new Error(`--seconds ${values.seconds} is not a number above 0`)
  const rows = values.rows === undefined ? undefined : parseRate(values.rows)
  return {
    ids: positionals.length > 0 ? positionals : Object.keys(BENCHES),
    json: values.json,
    seconds,
    rows,
  }
}

/** Small numbers with three digits, large ones with a prefix. */
function show(value: number): string {
  return Math.abs(value) >= 1000 ? formatRate(value) : String(Number(value.toPrecision(3)))
}

function line({ id, value, unit, reference, ratio, goal, met }: BenchResult): string {
  const figure = `${show(value)} ${unit}`
  const ref = `${show(ratio)} × ${show(reference.value)} (${reference.what})`
  return `${met ? 'met ' : 'MISS'} ${id.padEnd(20)} ${figure.padEnd(22)} ${ref.padEnd(64)} goal: ${goal}`
}

async function main(): Promise<void> {
  let options: Options | undefined
  try {
    options = readOptions()
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n\n${HELP}`)
    process.exitCode = 2
    return
  }
  if (!options) {
    process.stdout.write(HELP)
    return
  }
  const table = options.json === '-' ? process.stderr : process.stdout
  const results: BenchResult[] = []
  const done = new Set<Bench>()
  table.write(`${cpus().length} CPUs, ${cpus()[0]?.model ?? 'unknown'}, Node ${process.versions.node}\n`)
  for (const id of options.ids) {
    const bench = BENCHES[id]
    if (!bench || done.has(bench)) continue
    done.add(bench)
    process.stderr.write(`measuring ${id} …\n`)
    try {
      const log = (text: string) => process.stderr.write(`  ${text}\n`)
      for (const result of await bench({ log, seconds: options.seconds, rows: options.rows })) {
        results.push(result)
        table.write(`${line(result)}\n`)
      }
    } catch (error) {
      table.write(`FAIL ${id}: ${error instanceof Error ? error.message : String(error)}\n`)
      process.exitCode = 1
    }
  }
  const document = `${JSON.stringify(results, null, 2)}\n`
  if (options.json === '-') process.stdout.write(document)
  else if (options.json) writeFileSync(options.json, document)
}

await main()
