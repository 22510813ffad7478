// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { parsePrefix } from '@flowdam/common'
import { parseAggregatorConfig, policiesOf } from '../../config/load.js'
import { delta, hostDeltas } from '../../testing/delta-agent.js'
import { quietLog } from '../../testing/quiet-log.js'
import { Detector } from '../detector.js'
import { type DetectionSource, PolicySet } from '../policies.js'
import { Baselines } from './baselines.js'
import { exportThresholds, writtenRate } from './export.js'
import { roundUp } from './report.js'

const NETWORKS = [parsePrefix('203.0.113.0/24'), parsePrefix('2001:db8::/32')]
const MONDAY = Date.UTC(2026, 10, 16)
const folder = mkdtempSync(join(tmpdir(), 'flowdam-baselines-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const SOURCE: DetectionSource = {
  networks: NETWORKS,
  thresholds: {
    incoming: { pps: 50_000 },
    baseline: { factor: 4, learn: 2 * 3_600_000, floor: { pps: 1000 } },
    total: { baseline: { learn: 3_600_000, floor: { pps: 1000 } } },
  },
  hostgroups: [],
}

/** A detector that learns, on a clock of its own. */
function world(file: string | undefined, source: DetectionSource = SOURCE, maxProfiles = 100) {
  let now = 1_000_000
  let wrongBy = 0
  let seq = 0
  const baselines = new Baselines({
    ...(file === undefined ? {} : { file }),
    log: quietLog(),
    maxProfiles,
    wallClock: () => MONDAY + now + wrongBy,
  })
  const detector = new Detector({
    policies: new PolicySet(source),
    counters: { maxAddresses: 1000, maxEntries: 1e6, idleMs: 60_000 },
    baselines,
    clock: () => now,
    onDetection: () => {},
  })
  baselines.start()
  return {
    baselines,
    detector,
    /** A message each minute with so many packets a second to each of these. */
    live(minutes: number, rates: Record<string, number>) {
      for (let i = 0; i < minutes; i++) {
        now += 60_000
        const entries = Object.entries(rates).map(([address, pps]) => delta(address, pps * 60, pps * 6000))
        detector.onHostDeltas('edge1', hostDeltas(++seq, 60_000, entries, 0), 0)
        detector.tick()
      }
    },
    /** Nobody sends anything. */
    silence(minutes: number) {
      for (let i = 0; i < minutes; i++) {
        now += 60_000
        detector.tick()
      }
    },
    setClock: (ms: number) => {
      wrongBy = ms
    },
    leave: () =>
      detector.onAgentState({ id: 'edge2' } as Parameters<Detector['onAgentState']>[0], 'disconnected'),
    threshold: (address: string) =>
      Math.round(detector.host(address)?.thresholds.find(({ of }) => of === '')?.rate ?? 0),
    async stop() {
      await baselines.stop()
    },
  }
}

describe('baselines', () => {
  it('of addresses with traffic outlive a wall clock that is wrong by weeks, and weeks without us', async () => {
    const { setClock, live, silence, threshold, baselines, stop } = world(undefined)
    live(200, { '203.0.113.5': 2000, '203.0.113.6': 2000 })
    for (const days of [40, 0]) {
      setClock(days * 86_400_000)
      live(3, { '203.0.113.5': 2000, '203.0.113.6': 2000 })
      assert.equal(baselines.size, 2)
    }
    assert.equal(threshold('203.0.113.5'), 8001)
    // Those that are idle are forgotten.
    setClock(40 * 86_400_000)
    silence(3)
    assert.equal(baselines.size, 0)
    await stop()
  })

  it('survive a restart, with the hour under way and groups; other channels and rules take over what they can', async () => {
    const file = join(folder, 'restart.bin')
    const first = world(file)
    first.live(200, { '203.0.113.5': 2000, '2001:db8::5': 500 })
    assert.equal(first.threshold('203.0.113.5'), 8001)
    const before = [...first.baselines.reports()]
    assert.equal(before.length, 3)
    await first.stop()
    assert.ok(!existsSync(`${file}.new`))

    const second = world(file)
    assert.deepEqual(
      [...second.baselines.reports()].map(({ metrics, ...report }) => ({
        ...report,
        week: metrics[0]?.week,
      })),
      before.map(({ metrics, ...report }) => ({
        ...report,
        activeUnixMs: second.baselines.wallClock(),
        week: metrics[0]?.week,
      })),
    )
    assert.equal(second.threshold('203.0.113.5'), 8001)
    await second.stop()

    // Another metric is learned from the beginning; the one that is known stays in force.
    const wider = structuredClone(SOURCE)
    Object.assign(wider.thresholds, {
      baseline: { factor: 10, learn: 2 * 3_600_000, floor: { udp_pps: 100, pps: 1000 } },
    })
    const third = world(file, wider)
    assert.equal(third.threshold('203.0.113.5'), 20_003)
    const [pps, udp] = third.baselines.report('host', '203.0.113.5')?.metrics ?? []
    assert.deepEqual([pps?.inForce, udp?.inForce, udp?.learnedHours], [true, false, 0])
    // A reload, too.
    third.detector.reconfigure(new PolicySet(SOURCE))
    assert.equal(third.threshold('203.0.113.5'), 8001)
    await third.stop()
  })

  it('begin anew beside a file that cannot be read, keep it, and count it', async () => {
    const file = join(folder, 'damaged.bin')
    const first = world(file)
    first.live(200, { '203.0.113.5': 2000 })
    await first.stop()
    const whole = readFileSync(file)
    const damages: (() => void)[] = [
      () => truncateSync(file, whole.length - 1),
      () => truncateSync(file, 0),
      () =>
        writeFileSync(file, Buffer.concat([whole.subarray(0, 300), Buffer.from([7]), whole.subarray(301)])),
      () => writeFileSync(file, 'what is this?'),
    ]
    for (const damage of damages) {
      writeFileSync(file, whole)
      damage()
      const next = world(file)
      assert.equal(next.baselines.losses.damagedFiles, 1)
      assert.equal(next.baselines.size, 0)
      assert.equal(next.threshold('203.0.113.5'), 50_000)
      assert.ok(existsSync(`${file}.damaged`))
      await next.stop()
      assert.equal(world(file).baselines.losses.damagedFiles, 0)
    }
  })

  it('say so when they cannot be written, and go on', async () => {
    const w = world(join(folder, 'missing', 'baselines.bin'))
    w.live(200, { '203.0.113.5': 2000 })
    await w.baselines.save()
    assert.equal(w.baselines.failedSaves, 1)
    assert.notEqual(w.baselines.lastError, '')
    assert.equal(w.threshold('203.0.113.5'), 8001)
  })

  it('are kept for addresses with meaningful traffic only, within their bound; who is idle and new gives way', () => {
    const w = world(undefined, SOURCE, 10)
    const busy = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`203.0.113.${i}`, 100]))
    w.live(30, { ...busy, '203.0.113.200': 20 })
    assert.equal(w.baselines.size, 10)
    assert.equal(w.baselines.report('host', '203.0.113.200'), undefined)
    // All of them move: there is no room, and it is counted.
    w.live(10, { ...busy, '203.0.113.100': 5000 })
    assert.equal(w.baselines.size, 10)
    assert.equal(w.baselines.losses.refused, 10)
    assert.equal(w.threshold('203.0.113.100'), 50_000)
    // Nine go on and become ready; the tenth falls silent before it is.
    const { '203.0.113.0': _gone, ...nine } = busy
    w.live(200, nine)
    w.live(30, { ...nine, '203.0.113.100': 5000 })
    assert.equal(w.baselines.size, 10)
    assert.equal(w.baselines.losses.evicted, 0, 'silence is learned, too: it is ready by now')
    // Four weeks without a packet, and it is gone.
    w.live(29 * 24 * 60, nine)
    assert.equal(w.baselines.report('host', '203.0.113.0'), undefined)
    assert.ok(w.baselines.losses.evicted > 0)
  })

  it('learn nothing while an agent is away or nobody sends', () => {
    const w = world(undefined)
    w.live(61, { '203.0.113.5': 2000 })
    const hours = () => w.baselines.report('host', '203.0.113.5')?.learnedHours
    const before = hours()
    w.silence(180)
    assert.equal(hours(), before)
    w.leave()
    w.live(180, { '203.0.113.5': 100 })
    assert.equal(hours(), before)
  })

  it('can be forgotten', () => {
    const w = world(undefined)
    w.live(200, { '203.0.113.5': 2000 })
    assert.equal(w.threshold('203.0.113.5'), 8001)
    assert.equal(w.baselines.forget('host', '203.0.113.5'), true)
    assert.equal(w.threshold('203.0.113.5'), 50_000)
    assert.equal(w.baselines.forget('host', '203.0.113.6'), false)
  })

  it('follow growth that a person accepts, and none that nobody does', () => {
    const w = world(undefined)
    w.live(200, { '203.0.113.5': 2000 })
    assert.equal(w.threshold('203.0.113.5'), 8001)
    // Five times as much, for good: over the threshold, and so never learned by itself.
    w.live(600, { '203.0.113.5': 10_000 })
    assert.equal(w.threshold('203.0.113.5'), 8001)
    const raised = w.detector.acceptBaseline('host', '203.0.113.5') ?? 0
    assert.ok(raised > 4.9 && raised < 5.1, `${raised}`)
    const accepted = w.threshold('203.0.113.5')
    assert.ok(Math.abs(accepted - 40_000) < 100, `${accepted}`)
    // A second time there is nothing to accept, and nothing is lowered when there is less.
    assert.equal(w.detector.acceptBaseline('host', '203.0.113.5'), 1)
    w.live(1, { '203.0.113.5': 10 })
    assert.equal(w.detector.acceptBaseline('host', '203.0.113.5'), 1)
    assert.equal(w.threshold('203.0.113.5'), accepted)
    // Learning goes on from there, once what it is part of is accepted, too.
    w.detector.acceptBaseline('total', 'total', 5)
    const hours = w.baselines.report('host', '203.0.113.5')?.learnedHours ?? 0
    w.live(180, { '203.0.113.5': 11_000 })
    assert.ok((w.baselines.report('host', '203.0.113.5')?.learnedHours ?? 0) > hours)
    assert.ok(w.threshold('203.0.113.5') > accepted)
    // The ceiling holds whatever is accepted.
    assert.equal(w.detector.acceptBaseline('host', '203.0.113.5', 100), 100)
    assert.equal(w.threshold('203.0.113.5'), 50_000)
    assert.equal(w.detector.acceptBaseline('host', '203.0.113.6'), undefined)
  })

  it('of everything together follow accepted growth, too', () => {
    const w = world(undefined)
    const total = () => w.baselines.report('total', 'total')?.metrics[0]?.threshold ?? 0
    w.live(200, { '203.0.113.5': 600, '203.0.113.6': 600 })
    assert.ok(Math.abs(total() - 6000) < 20, `${total()}`)
    w.live(120, { '203.0.113.5': 4000, '203.0.113.6': 4000 })
    assert.ok(Math.abs(total() - 6000) < 20, `${total()}`)
    w.detector.acceptBaseline('total', 'total')
    assert.ok(Math.abs(total() - 40_000) < 200, `${total()}`)
  })

  it('suggest thresholds that --check accepts and that leave everything learned alone', () => {
    const text = `
networks: [203.0.113.0/24, '2001:db8::/32']
thresholds: { incoming: { pps: 50k }, baseline: { learn: 1h, floor: { pps: 500 } } }
hostgroups:
  - name: web
    prefixes: [203.0.113.0/25]
    total: { incoming: { pps: 1M }, baseline: { learn: 1h, floor: { pps: 500 } } }
`
    const config = parseAggregatorConfig('aggregator.yaml', text)
    const w = world(undefined, config)
    const rates: Record<string, number> = { '203.0.113.77': 9000, '2001:db8::5': 300 }
    for (let i = 0; i < 40; i++) rates[`203.0.113.${i}`] = 100 + i
    w.live(150, rates)
    const reports = [...w.baselines.reports()].filter(({ ready }) => ready)
    const yaml = exportThresholds(config, reports, { mostHosts: 100, unixMs: MONDAY })
    const suggested = policiesOf(parseAggregatorConfig('export.yaml', yaml))
    for (const [address, pps] of Object.entries(rates)) {
      const bytes = w.detector.host(address)?.address as Uint8Array
      const limit = suggested.policyFor(bytes)?.limits.find(({ metric }) => metric === 'pps')
      assert.ok(limit && limit.rate >= pps * 5, `${address}: ${limit?.rate}`)
      if (pps < 1000) assert.ok(limit.rate <= 2000, `${address}: ${limit.rate}`)
    }
    assert.match(yaml, /name: host-203\.0\.113\.77\n/)
    assert.equal(suggested.groupTotals[0]?.limits[0]?.rate, roundUp((9000 + 40 * 119.5) * 5))
  })

  it('round suggestions up, and write them as people do', () => {
    assert.deepEqual([12_345, 12_000, 1000, 999, 5, 0].map(roundUp), [13_000, 12_000, 1000, 1000, 5, 0])
    assert.deepEqual([13_000, 1_200_000, 5e9, 950].map(writtenRate), ['13k', '1.2M', '5G', '950'])
  })
})
