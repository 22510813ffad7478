// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises'
import { Lab } from '../lab/lab.js'
import { floods } from './floods.js'
import { View } from './view.js'

const FIRST_FLOOD_MS = 8_000
const FLOOD_EVERY_MS = 60_000
const QUIET_IN = ['--rate', '6000', '--flows', '4000', '--wave', '20']
const QUIET_OUT = ['--rate', '4000', '--flows', '2000', '--wave', '30', '--seed', '2']

/** The main job on real packets: a network of namespaces, ordinary traffic, and a flood every minute, until `signal`. */
export async function labDemo(thresholdPps: number, signal: AbortSignal): Promise<void> {
  process.stdout.write('starting a network of namespaces, two BGP speakers, aggregator and agent …\n')
  const lab = new Lab({ thresholdPps, banDuration: '20s' })
  try {
    await lab.start()
    if (!signal.aborted) await show(lab, thresholdPps, signal)
  } finally {
    process.stdout.write('taking everything away …\n')
    await lab.stop()
  }
}

async function show(lab: Lab, thresholdPps: number, signal: AbortSignal): Promise<void> {
  const inEdge = `ip netns exec ${lab.network.namespaces.edge}`
  const view = new View(lab.daemons.api, {
    title: `namespaces ${lab.network.namespaces.edge.replace('edge', '*')}`,
    thresholdPps,
    router: 'the router',
    hints: [
      `${inEdge} npx flowdam top`,
      `${inEdge} npx flowdam bans watch`,
      `ip netns exec ${lab.network.namespaces.router} gobgp global rib`,
    ],
  })
  const monitor = lab.router.watch((change) => view.routeChanged(change))
  view.start()
  try {
    view.say('ordinary traffic: 6000 flows in and out, 10 000 packets/s on average')
    lab.send({ from: 'internet', args: QUIET_IN })
    lab.send({ from: 'customer', args: QUIET_OUT })
    await attack(lab, thresholdPps, view, signal)
  } finally {
    await view.stop()
    await monitor.stop()
  }
}

async function attack(lab: Lab, thresholdPps: number, view: View, signal: AbortSignal): Promise<void> {
  const wait = (ms: number) => delay(ms, undefined, { signal }).catch(() => {})
  await wait(FIRST_FLOOD_MS)
  for (let round = 0; !signal.aborted; round++) {
    for (const { what, victim, rate, seconds, args } of floods(thresholdPps)) {
      if (signal.aborted) return
      view.say(`${what} towards ${victim}: ${rate} packets/s for ${seconds} s`)
      const next = wait(FLOOD_EVERY_MS)
      const flood = lab.send({ from: 'internet', args: [...args, '--seed', String(10 + round)] })
      const report = await Promise.race([flood.report(), next])
      const lost = report?.device_dropped
        ? `; the test network itself lost ${report.device_dropped} packets of it`
        : ''
      if (!signal.aborted) view.say(`${what} towards ${victim} is over${lost}`)
      await next
    }
  }
}
