// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parsePrefix } from '@flowdam/common'
import { DeltaClass } from '@flowdam/proto'
import { delta, hostDeltas } from '../testing/delta-agent.js'
import type { Detection } from './detection.js'
import { Detector } from './detector.js'
import { PolicySet, type PolicySource } from './policies.js'

/** An attack on so many addresses of 203.0.0.0/16 at a time, from an agent that speaks every tenth of a second. */
function wide(thresholds: PolicySource) {
  let now = 10_000
  let seq = 0
  let said: Detection[] = []
  const detector = new Detector({
    policies: new PolicySet({ networks: [parsePrefix('203.0.0.0/16')], thresholds, hostgroups: [] }),
    counters: { maxAddresses: 65_536, maxEntries: 1e7, idleMs: 1000 },
    clock: () => now,
    onDetection: (detection) => said.push(detection),
  })
  return {
    detector,
    now: () => now,
    /** What one message makes fire. */
    send(entries: Parameters<typeof hostDeltas>[2]): Detection[] {
      now += 100
      said = []
      detector.onHostDeltas('edge1', hostDeltas(++seq, 100, entries, 0), 0)
      return said
    },
  }
}

const addressOf = (index: number) => `203.0.${index >> 8}.${index & 0xff}`

describe('an attack on very many at once', () => {
  it('is told as exactly as one on a single address: each with what it gets', () => {
    const s = wide({ incoming: { pps: 1000 } })
    const found = s.send(
      Array.from({ length: 50 }, (_, i) => [
        delta(addressOf(i), 2000 + i, (2000 + i) * 100),
        delta(addressOf(i), 10, 1000, { class: DeltaClass.icmp }),
      ]).flat(),
    )
    assert.equal(found.length, 50)
    for (const { target, value, mix, rates, metric } of found) {
      const i = Number(target.split('.')[3])
      assert.equal(metric, 'pps')
      assert.equal(value, (2010 + i) * 10, target)
      assert.equal(mix.packets, 2010 + i, target)
      assert.equal(mix.classes.udp.packets, 2000 + i, target)
      assert.equal(mix.classes.icmp.packets, 10, target)
      assert.equal(rates.incoming.udp.pps, (2000 + i) * 10, target)
    }
  })

  it('takes turns: a bounded number at each message, new ones first, and nobody waits for ever', () => {
    const s = wide({ incoming: { pps: 1000 } })
    const flood = Array.from({ length: 4000 }, (_, i) => delta(addressOf(i), 2000, 200_000))
    const firedAt = new Map<string, number[]>()
    for (let message = 0; message < 30; message++) {
      const found = s.send(flood)
      assert.ok(found.length > 0 && found.length <= 500, `${found.length} in message ${message}`)
      for (const { target } of found) firedAt.set(target, [...(firedAt.get(target) ?? []), message])
      // As long as there are new ones, only they fire.
      if (message < 8) assert.equal(firedAt.size, (message + 1) * 500)
    }
    assert.equal(firedAt.size, 4000)
    for (const [target, times] of firedAt) {
      const gaps = times.slice(1).map((at, i) => at - (times[i] as number))
      assert.ok(times.length >= 3 && Math.max(...gaps) <= 9, `${target}: ${times.join(' ')}`)
    }
    assert.ok(s.detector.postponed > 0)
  })

  it('spread over all of a /16 below each address’s threshold: every /24 is told within a second, a part at each message', () => {
    const s = wide({ incoming: { pps: 1000 }, carpet: { 'ipv4/24': { incoming: { pps: 1000 } } } })
    const bombs = Array.from({ length: 4096 }, (_, i) => delta(`203.0.${i % 256}.${i >> 8}`, 50, 5000))
    const fired = new Set<string>()
    for (let message = 0; message < 10; message++) {
      const found = s.send(bombs)
      assert.ok(found.length <= 64, `${found.length} in message ${message}`)
      for (const { target, scope, hosts, mix, value } of found) {
        assert.equal(scope, 'prefix')
        assert.equal(hosts.length, 16, target)
        assert.equal(value, 8000, target)
        assert.equal(mix.packets, 800, target)
        assert.ok(
          hosts.every(({ text }) => text.startsWith(target.replace('0/24', ''))),
          target,
        )
        fired.add(target)
      }
    }
    assert.equal(fired.size, 256)
  })

  it('lists the addresses of a prefix that get most, and adds up all', () => {
    const s = wide({ total: { incoming: { pps: 1000 } } })
    const found = s.send(
      Array.from({ length: 5000 }, (_, i) => delta(addressOf(i), i % 1000, (i % 1000) * 100)),
    )
    assert.equal(found.length, 1)
    const [{ hosts, shared }] = found as [Detection]
    assert.equal(shared, (5 * 1000 * 999) / 2)
    assert.equal(hosts.length, 256)
    // Five of each amount, from 999 down.
    assert.deepEqual(
      hosts.map(({ rate }) => rate),
      Array.from({ length: 256 }, (_, i) => 999 - Math.floor(i / 5)),
    )
  })
})
