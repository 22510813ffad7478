// SPDX-License-Identifier: Apache-2.0
import { cpuSeconds } from '@flowdam/aggregator/internal/testing/processes'
import { runSender, startSink } from './processes.js'
import { type Bench, median } from './result.js'

const RUNS = 5
const RECORDS = 4_000_000
/** The rate the whole way must carry; the stream alone needs room above it. */
const NEEDED = 1e6

/** Flow records over gRPC from one process to another on loopback, acknowledged, nothing behind it. */
export const streamLoopback: Bench = async ({ log }) => {
  const sink = await startSink()
  const runs: number[] = []
  const cpu: number[] = []
  try {
    for (let run = 0; run < RUNS; run++) {
      const before = cpuSeconds(sink.pid)
      const report = await runSender({
        address: sink.address,
        agentId: `bench${run}`,
        records: RECORDS,
        rate: 0,
        deltaAddresses: 0,
      })
      runs.push(report.records / report.seconds)
      const perMillion = (seconds: number) => seconds / (report.records / 1e6)
      cpu.push(perMillion(cpuSeconds(sink.pid) - before))
      log(
        `stream.loopback: CPU s per million records: sender ${perMillion(report.cpuSeconds).toFixed(3)}, receiver ${cpu.at(-1)?.toFixed(3)}`,
      )
    }
  } finally {
    sink.stop()
  }
  const value = median(runs)
  return [
    {
      id: 'stream.loopback',
      value,
      unit: 'records/s',
      reference: { what: 'what e2e.flows must carry, records/s', value: NEEDED },
      ratio: value / NEEDED,
      goal: 'ratio >= 2',
      met: value / NEEDED >= 2,
      runs,
    },
  ]
}
