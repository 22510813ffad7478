// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ordinary, Scene, type Traffic } from './scene.js'

const HOST = '203.0.113.9'
const background = ['203.0.113.8', '203.0.113.10', HOST, '2001:db8::7'].flatMap(ordinary)

/** Up for ten seconds, there, down again. */
const swell = (top: number, seconds: number) => (ms: number) =>
  top * Math.min(1, ms / 10_000, (seconds * 1000 - ms) / 10_000)

const SCENARIOS: { title: string; seconds: number; traffic: Traffic[] }[] = [
  {
    title: 'flash crowd below the threshold',
    seconds: 60,
    traffic: [
      { address: HOST, pps: swell(15_000, 60), size: 200, kind: 'tcp', flows: 2500 },
      { address: HOST, pps: swell(2500, 60), size: 60, kind: 'tcpSyn', flows: 500 },
      { address: HOST, pps: swell(20_000, 60), size: 1000, kind: 'tcp', direction: 'outgoing' },
    ],
  },
  {
    title: 'one big download',
    seconds: 60,
    traffic: [
      { address: HOST, pps: 17_000, size: 1500, kind: 'tcp', flows: 1 },
      { address: HOST, pps: 8000, size: 52, kind: 'tcp', direction: 'outgoing' },
    ],
  },
  {
    title: 'backup at night',
    seconds: 120,
    traffic: [
      { address: HOST, pps: 25_000, size: 1450, kind: 'tcp', direction: 'outgoing', flows: 1 },
      { address: HOST, pps: 12_000, size: 52, kind: 'tcp' },
    ],
  },
  {
    title: 'speed test under the limit, over UDP',
    seconds: 15,
    traffic: [{ address: HOST, pps: swell(17_000, 15), size: 1400, kind: 'udp', vector: 'quic' }],
  },
  {
    title: 'port scan of a /24',
    seconds: 30,
    traffic: Array.from({ length: 256 }, (_, index) => ({
      address: `203.0.113.${index}`,
      pps: 20,
      size: 44,
      kind: 'tcpSyn' as const,
      flows: 20,
    })),
  },
  {
    title: 'port scan of one address',
    seconds: 30,
    traffic: [{ address: HOST, pps: 3000, size: 44, kind: 'tcpSyn', flows: 3000 }],
  },
]

describe('harmless traffic', () => {
  for (const { title, seconds, traffic } of SCENARIOS) {
    it(`${title} is not banned`, () => {
      const scene = new Scene()
      try {
        scene.play(5, background)
        scene.play(seconds, [...background, ...traffic])
        scene.play(5, background)
        assert.deepEqual(scene.bans.list(true, 10), [])
        assert.deepEqual(scene.attacks.list(true, 10), [])
      } finally {
        scene.end()
      }
    })
  }
})
