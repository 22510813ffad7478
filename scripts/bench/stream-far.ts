// SPDX-License-Identifier: Apache-2.0
import { parseHostPort } from '@flowdam/common'
import { DelayProxy } from '../net/delay-proxy.js'
import { startSink } from './processes.js'
import { type Bench, median } from './result.js'
import { runStream, type StreamRun, showRun } from './stream.js'

const RUNS = 5
const RECORDS = 2_000_000
/** With small windows a path this long takes seconds for a megabyte. */
const NARROW_RECORDS = 65_536
const GOAL_MB = 30

/** Flow records over one stream when the aggregator is so far away, beside the same with gRPC's own windows. */
export function streamFar(roundTripMs: number): Bench {
  const id = `stream.rtt${roundTripMs}`
  return async ({ log }) => {
    const run = async (windows: 'wide' | 'narrow', records: number): Promise<StreamRun> => {
      const sink = await startSink(windows)
      const proxy = new DelayProxy({ target: parseHostPort(sink.address), oneWayMs: roundTripMs / 2 })
      await proxy.start()
      try {
        return await runStream(`127.0.0.1:${proxy.port}`, sink, records)
      } finally {
        await proxy.stop()
        sink.stop()
      }
    }
    const wide: StreamRun[] = []
    const narrow: StreamRun[] = []
    for (let count = 0; count < RUNS; count++) {
      wide.push(await run('wide', RECORDS))
      log(showRun(id, wide.at(-1) as StreamRun))
      narrow.push(await run('narrow', NARROW_RECORDS))
      log(showRun("with gRPC's own windows", narrow.at(-1) as StreamRun))
    }
    const megabytes = (runs: readonly StreamRun[]) => runs.map(({ megabytesPerSecond }) => megabytesPerSecond)
    const value = median(megabytes(wide))
    const reference = median(megabytes(narrow))
    return [
      {
        id,
        value,
        unit: 'MB/s',
        reference: { what: "the same with gRPC's own windows, MB/s", value: reference },
        ratio: value / reference,
        goal: `>= ${GOAL_MB} MB/s at ${roundTripMs} ms round trip`,
        met: value >= GOAL_MB,
        runs: megabytes(wide),
      },
    ]
  }
}
