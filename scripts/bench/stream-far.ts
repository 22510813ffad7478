// SPDX-License-Identifier: Apache-2.0
import { parseHostPort } from '@flowdam/common'
import { RECORD_SIZE } from '@flowdam/proto'
import { DelayProxy } from '../net/delay-proxy.js'
import { runSender, startSink } from './processes.js'
import { type Bench, median } from './result.js'

const RUNS = 5
const RECORDS = 4_000_000
const ROUND_TRIP_MS = 20
/** What one stream moves at this round trip with @grpc/grpc-js' default windows; measured, MB/s. */
const DEFAULT_WINDOWS_MB = 2.1
const GOAL_MB = 30

/** Flow records over one stream when the aggregator is 20 ms of round trip away. */
export const streamFar: Bench = async () => {
  const sink = await startSink()
  const proxy = new DelayProxy({ target: parseHostPort(sink.address), oneWayMs: ROUND_TRIP_MS / 2 })
  await proxy.start()
  const runs: number[] = []
  try {
    for (let run = 0; run < RUNS; run++) {
      const report = await runSender({
        address: `127.0.0.1:${proxy.port}`,
        agentId: `far${run}`,
        records: RECORDS,
        rate: 0,
        deltaAddresses: 0,
      })
      runs.push((report.records * RECORD_SIZE) / 1e6 / report.seconds)
    }
  } finally {
    await proxy.stop()
    sink.stop()
  }
  const value = median(runs)
  return [
    {
      id: 'stream.rtt20',
      value,
      unit: 'MB/s',
      reference: { what: 'the same with default windows, MB/s', value: DEFAULT_WINDOWS_MB },
      ratio: value / DEFAULT_WINDOWS_MB,
      goal: `>= ${GOAL_MB} MB/s at ${ROUND_TRIP_MS} ms round trip`,
      met: value >= GOAL_MB,
      runs,
    },
  ]
}
