// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NO_RATES } from '@flowdam/aggregator/internal/detect/sample'
import { Scene, type Traffic } from './scene.js'

const HOST = '203.0.113.9'
const WEEK = 7 * 24

const CONFIG = `
networks: [203.0.113.0/24]
thresholds:
  incoming: { pps: 50k }
  baseline: { factor: 5, floor: { pps: 2k } }
ban: { duration: 60s }
`

/** 1500 packets a second in office hours, 200 at other times, 100 on weekends. */
function office(hour: number): number {
  const day = Math.floor(hour / 24) % 7
  if (day >= 5) return 100
  return hour % 24 >= 8 && hour % 24 < 18 ? 1500 : 200
}

const usual: Traffic[] = [{ address: HOST, pps: office, size: 600, kind: 'tcp' }]
const flood = (pps: number, address = HOST): Traffic => ({ address, pps, size: 500, kind: 'udp' })

function withScene(config: string, test: (scene: Scene) => void): void {
  const scene = new Scene(config)
  try {
    test(scene)
  } finally {
    scene.end()
  }
}

/** The threshold in force for the host's packets. */
function threshold(scene: Scene, address = HOST): number {
  const found = scene.detector.host(address)?.thresholds.find(({ of }) => of === '')
  return Math.round(found?.rate ?? 0)
}

const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual / expected - 1) < 0.01, `${actual}, expected about ${expected}`)

describe('learned thresholds', () => {
  it('follow the hour of the week, and find ten times the usual far below the configured threshold', () => {
    withScene(CONFIG, (scene) => {
      scene.live(WEEK + 24 + 10, usual)
      assert.deepEqual(scene.bans.list(true, 10), [])
      near(threshold(scene), 7500)
      const began = scene.now
      scene.play(2, [...usual.map((each) => ({ ...each, pps: 1500 })), flood(13_500)])
      assert.deepEqual(scene.banned(), [`${HOST}/32 incoming`])
      const [hook] = scene.hooks
      assert.ok(hook && hook.atMs - began <= 700, `after ${(hook?.atMs ?? 0) - began} ms`)
      near(hook.ban.threshold, 7500)
      // At night it takes less: the floor.
      scene.live(13, usual)
      assert.equal(threshold(scene), 2000)
    })
  })

  it('are not in force before enough was learned: the configured ones alone decide, and explain says so', () => {
    withScene(CONFIG, (scene) => {
      scene.live(WEEK - 24 + 10, usual)
      assert.equal(threshold(scene), 50_000)
      const own = scene.detector.host(HOST)?.thresholds.find(({ of }) => of === '')
      assert.equal(own?.learned?.inForce, false)
      assert.equal(own?.learned?.learnedHours, WEEK - 24 + 10)
      assert.equal(own?.learned?.neededHours, WEEK)
      scene.play(5, [flood(15_000)])
      assert.deepEqual(scene.banned(), [])
      scene.play(2, [flood(60_000)])
      assert.deepEqual(scene.banned(), [`${HOST}/32 incoming`])
    })
  })

  it('grow with traffic that grows slowly: five times as much after eight weeks, and never a ban', () => {
    withScene(CONFIG, (scene) => {
      const growing = (hour: number) => office(hour) * 1.03 ** (hour / 24)
      scene.live(8 * WEEK, [{ address: HOST, pps: growing, size: 600, kind: 'tcp' }])
      assert.deepEqual(scene.bans.list(true, 10), [])
      scene.live(34, [{ address: HOST, pps: growing, size: 600, kind: 'tcp' }])
      assert.ok(threshold(scene) > 20_000, `${threshold(scene)}`)
    })
  })

  for (const banning of ['with', 'without']) {
    it(`learn nothing from an attack, neither before they are in force nor after, ${banning} bans`, () => {
      const config = banning === 'with' ? CONFIG : CONFIG.replace('60s', '60s, enabled: false')
      const learned = (attacks: (scene: Scene) => void) => {
        let week: readonly (number | undefined)[] = []
        withScene(config, (scene) => {
          attacks(scene)
          week = scene.baselines.report('host', HOST)?.metrics[0]?.week ?? []
        })
        return week
      }
      const quiet = learned((scene) => scene.live(3 * WEEK, usual))
      const attacked = learned((scene) => {
        // Two hours on the first Wednesday, above the configured threshold.
        scene.live(58, usual)
        scene.live(2, [...usual, flood(70_000)])
        scene.live(WEEK - 60, usual)
        // All of the second Tuesday, above the learned one only.
        scene.live(24, usual)
        scene.live(24, [...usual, flood(9000)])
        scene.live(2 * WEEK - 48, usual)
        assert.ok(scene.attacks.list(true, 10).length > 1)
      })
      assert.equal(quiet.length, WEEK)
      for (const [hour, rate] of quiet.entries()) {
        if (attacked[hour] !== undefined) assert.equal(attacked[hour], rate, `hour ${hour}`)
      }
      assert.ok(attacked.every((rate) => rate !== undefined))
    })
  }

  it('learn nothing while a ban hides the traffic', () => {
    withScene(CONFIG, (scene) => {
      scene.live(WEEK, usual)
      const week = () => scene.baselines.report('host', HOST)?.metrics[0]?.week
      const before = week()
      scene.bans.add({
        prefix: HOST,
        direction: 'incoming',
        durationMs: 30 * 3_600_000,
        who: 'me',
        reason: 'test',
        hostgroup: '',
        rates: NO_RATES,
      })
      scene.live(29, [])
      assert.deepEqual(week(), before)
      scene.live(1, [])
      // Without a ban, silence is something to learn.
      scene.live(7, [])
      assert.notDeepEqual(week(), before)
    })
  })

  it('leave a backup alone at its usual hour, and find the same traffic at another one', () => {
    withScene(CONFIG, (scene) => {
      const backup = (hour: number) => (hour % 24 >= 3 && hour % 24 < 3.7 ? 12_000 : 0)
      const nightly: Traffic[] = [...usual, { address: HOST, pps: backup, size: 1400, kind: 'tcp' }]
      scene.live(WEEK + 27, nightly)
      // Ten minutes early and half as much again.
      scene.play(5, [flood(18_000)])
      scene.live(24, nightly)
      assert.deepEqual(scene.bans.list(true, 10), [])
      scene.live(5, nightly)
      scene.play(5, [flood(12_000)])
      assert.deepEqual(scene.banned(), [`${HOST}/32 incoming`])
    })
  })

  it('hold for everything together: many addresses that rise a little each', () => {
    const total = '  total: { incoming: { pps: 200k }, baseline: { factor: 3, floor: { pps: 4k } } }\nban:'
    withScene(CONFIG.replace('ban:', total), (scene) => {
      const hosts = Array.from({ length: 20 }, (_, index) => `203.0.113.${index + 100}`)
      const each = (pps: number): Traffic[] => hosts.map((address) => ({ ...flood(pps), address }))
      scene.live(WEEK + 1, each(100))
      assert.deepEqual(scene.bans.list(true, 10), [])
      scene.play(3, each(500))
      const [attack] = scene.attacks.active()
      assert.equal(attack?.scope, 'total')
      near(attack.threshold, 6000)
    })
  })

  it('are above the configured ones where a ceiling allows it', () => {
    withScene(CONFIG.replace('floor: { pps: 2k }', 'floor: { pps: 2k }, ceiling: { pps: 60k }'), (scene) => {
      const busy: Traffic[] = [{ address: HOST, pps: 11_000, size: 600, kind: 'tcp' }]
      scene.live(WEEK + 1, busy)
      near(threshold(scene), 55_000)
      scene.play(3, [flood(53_000)])
      assert.deepEqual(scene.banned(), [])
    })
  })
})
