// SPDX-License-Identifier: Apache-2.0
import { type Accounts, addUp, takeAccounts } from './accounts.js'
import { Lab } from './lab.js'
import type { LabOptions } from './options.js'
import { EVENTS, Timeline, type TimelineEvent } from './timeline.js'
import { waitFor } from './wait.js'

/** As in the goals for the time to detect. */
const FLOOD_FACTOR = 5
const VICTIM = '203.0.113.10'
const QUIET_IN = ['--rate', '6000', '--flows', '2000']
const QUIET_OUT = ['--rate', '4000', '--flows', '1000', '--seed', '2']

export interface LabResult extends Accounts {
  timeline: TimelineEvent[]
}

/** The whole story once: quiet traffic, a flood, a ban, a route, and back to quiet. */
export async function runScenario(
  options: LabOptions,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<LabResult> {
  const lab = new Lab({ thresholdPps: options.thresholdPps })
  try {
    say('starting: a network of namespaces, two BGP speakers, the aggregator with its store, the agent')
    await lab.start()
    signal.throwIfAborted()
    return await play(lab, options, say, signal)
  } finally {
    await lab.stop()
  }
}

async function play(
  lab: Lab,
  { thresholdPps, floodSeconds }: LabOptions,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<LabResult> {
  const { api } = lab.daemons
  const timeline = new Timeline(`${VICTIM}/32`)
  const monitor = lab.router.watch((change) => timeline.routeChanged(change))
  timeline.watchBans(api)
  try {
    say('ordinary traffic: 3000 flows, 10 000 packets/s, in and out')
    const quietIn = lab.send({ from: 'internet', args: QUIET_IN })
    const quietOut = lab.send({ from: 'customer', args: QUIET_OUT })
    await waitFor('traffic in the store', async () => {
      signal.throwIfAborted()
      const { store } = await api.getStatus()
      return (store?.rowsStored ?? 0) > 0 ? true : undefined
    })

    const rate = FLOOD_FACTOR * thresholdPps
    say(`flood: ${rate} packets/s of UDP towards ${VICTIM}, for ${floodSeconds} s`)
    const flood = lab.send({ from: 'internet', args: floodArgs(rate, floodSeconds) })
    const flooded = await flood.report()
    timeline.mark('flood started', flooded.started_unix_ms)
    timeline.mark('flood stopped', flooded.ended_unix_ms)

    say('flood stopped; waiting for the ban to end')
    await waitFor('the route to be gone again', () => {
      signal.throwIfAborted()
      return timeline.has('route gone')
    }).catch((error: unknown) => {
      signal.throwIfAborted()
      say(String(error))
    })

    for (const quiet of [quietIn, quietOut]) quiet.halt()
    const reports = await Promise.all([quietIn.report(), quietOut.report()])
    const accounts = await takeAccounts(api, addUp([...reports, flooded]))
    const events = timeline.events()
    return { ...accounts, timeline: events, ok: accounts.ok && isComplete(events) }
  } finally {
    timeline.stop()
    await monitor.stop()
  }
}

function floodArgs(rate: number, seconds: number): string[] {
  return [
    ...['--profile', 'udp-flood', '--victim', VICTIM, '--flows', '500', '--seed', '3'],
    ...['--rate', String(rate), '--duration', String(seconds)],
  ]
}

/** Every event was seen; the order is shown, and is a matter of the tests. */
function isComplete(events: readonly TimelineEvent[]): boolean {
  return EVENTS.every((name) => events.some(({ event }) => event === name))
}
