// SPDX-License-Identifier: Apache-2.0
import { TestDaemon } from '@flowdam/aggregator/internal/testing/daemon'
import { DeltaAgent, delta } from '@flowdam/aggregator/internal/testing/delta-agent'
import { type Bench, median } from './result.js'

const RUNS = 20
const REFERENCE_MS = 250

/**
 * The aggregator's part of detect.latency.5x: from a message that is over the threshold, on the wire, to the hook's
 * process. A real daemon with its embedded store, so that a process is started from one of real size. The figure is
 * the daemon's own: from the message's arrival to the child's existence.
 */
export const hookLatency: Bench = async ({ log }) => {
  const daemon = new TestDaemon()
  try {
    daemon.configure(
      `networks: [203.0.113.0/24]\nthresholds: { incoming: { pps: 10k } }\nhooks:\n  - { name: notify, run: [${daemon.hook}], format: fastnetmon }\n`,
    )
    const { grpc } = await daemon.start()
    await daemon.logged('the store is ready')
    const agent = new DeltaAgent(grpc)
    await agent.connect()
    const runs: number[] = []
    for (let run = 0; run < RUNS; run++) {
      const victim = `203.0.113.${100 + run}`
      agent.send(100, [delta(victim, 50_000, 3_000_000)])
      const started = await daemon.loggedWhere('hook started', (entry) => entry['prefix'] === `${victim}/32`)
      runs.push(Number(started['sinceDecisionMs']))
    }
    agent.close()
    log(`detect.hook: slowest of ${RUNS} ${Math.max(...runs)} ms`)
    const value = median(runs)
    return [
      {
        id: 'detect.hook',
        value,
        unit: 'ms',
        reference: { what: 'goal of the whole way, ms', value: REFERENCE_MS },
        ratio: value / REFERENCE_MS,
        goal: 'median <= 25 ms: a tenth of the whole way',
        met: value <= 25,
        runs,
      },
    ]
  } finally {
    await daemon.cleanUp()
  }
}
