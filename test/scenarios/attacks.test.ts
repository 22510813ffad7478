// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ordinary, Scene, type Traffic } from './scene.js'

const VICTIM = '203.0.113.9'
const NEIGHBOURS = ['203.0.113.8', '203.0.113.10', '198.51.100.7', '2001:db8::7']
const background = [VICTIM, ...NEIGHBOURS].flatMap(ordinary)

interface Expected {
  title: string
  attack: Traffic[]
  seconds?: number
  type: string
  traffic?: string
  target?: string
  direction?: 'incoming' | 'outgoing'
  /** Default: the target as /32. */
  banned?: string[]
  /** From the attack's first packet to the hook. */
  withinMs: number
}

const reflected = (vector: NonNullable<Traffic['vector']>, size: number, pps: number): Expected => ({
  title: `${vector} amplification`,
  attack: [
    { address: VICTIM, pps, size, kind: 'udp', vector },
    // Answers larger than a packet: the fragments behind the first have no port.
    { address: VICTIM, pps: pps / 2, size, kind: 'udp', fragments: true },
  ],
  type: `${vector}_amplification`,
  withinMs: 500,
})

const SCENARIOS: Expected[] = [
  {
    title: 'SYN flood',
    attack: [{ address: VICTIM, pps: 50_000, size: 44, kind: 'tcpSyn', flows: 50_000 }],
    type: 'syn_flood',
    withinMs: 300,
  },
  {
    title: 'UDP flood',
    attack: [{ address: VICTIM, pps: 100_000, size: 512, kind: 'udp', flows: 1000 }],
    type: 'udp_flood',
    withinMs: 300,
  },
  reflected('dns', 1400, 60_000),
  reflected('ntp', 468, 60_000),
  reflected('ssdp', 320, 60_000),
  reflected('cldap', 1400, 60_000),
  reflected('memcached', 1400, 100_000),
  {
    title: 'ICMP flood',
    attack: [{ address: VICTIM, pps: 60_000, size: 84, kind: 'icmp' }],
    type: 'icmp_flood',
    withinMs: 500,
  },
  {
    title: 'flood of fragments',
    attack: [{ address: VICTIM, pps: 60_000, size: 1400, kind: 'udp', fragments: true }],
    type: 'ip_fragmentation',
    withinMs: 500,
  },
  {
    title: 'ACK flood',
    attack: [{ address: VICTIM, pps: 80_000, size: 40, kind: 'tcp', flows: 80_000 }],
    type: 'tcp_flood',
    withinMs: 300,
  },
  {
    title: 'flood over IPv6',
    attack: [{ address: '2001:db8::9', pps: 80_000, size: 1200, kind: 'udp' }],
    target: '2001:db8::9',
    banned: ['2001:db8::9/128 incoming'],
    type: 'udp_flood',
    withinMs: 300,
  },
  {
    title: 'flood from one of ours',
    attack: [{ address: VICTIM, pps: 90_000, size: 200, kind: 'udp', direction: 'outgoing', vector: 'dns' }],
    type: 'udp_flood',
    direction: 'outgoing',
    withinMs: 500,
  },
  {
    title: 'carpet bombing over a /24, each address far below its threshold',
    attack: Array.from({ length: 256 }, (_, index) => ({
      address: `203.0.113.${index}`,
      pps: 1500,
      size: 400,
      kind: 'udp' as const,
    })),
    type: 'carpet_bombing',
    traffic: 'udp_flood',
    target: '203.0.113.0/24',
    banned: ['203.0.113.0/24 incoming'],
    withinMs: 500,
  },
  {
    title: 'pulses of 2 s every 10 s',
    attack: [{ address: VICTIM, pps: (ms) => (ms % 10_000 < 2000 ? 100_000 : 0), size: 512, kind: 'udp' }],
    seconds: 40,
    type: 'pulse',
    traffic: 'udp_flood',
    withinMs: 300,
  },
  {
    title: 'ramp over five minutes, to twice the threshold',
    attack: [{ address: VICTIM, pps: (ms) => (40_000 * ms) / 300_000, size: 512, kind: 'udp' }],
    seconds: 300,
    type: 'udp_flood',
    // At 20 000 together with the ordinary 966.
    withinMs: 150_000,
  },
  {
    title: 'spoofed SYN flood with a full flow table: what overflows has no ports, but is still known as SYN',
    attack: [
      { address: VICTIM, pps: 5000, size: 44, kind: 'tcpSyn', flows: 5000 },
      { address: VICTIM, pps: 400_000, size: 44, kind: 'tcpSyn', flows: 0 },
    ],
    type: 'syn_flood',
    withinMs: 200,
  },
]

describe('attacks', () => {
  for (const expected of SCENARIOS) {
    it(expected.title, () => {
      const scene = new Scene()
      try {
        scene.play(10, background)
        assert.deepEqual(scene.banned(), [])
        const began = scene.now
        scene.play(expected.seconds ?? 5, [...background, ...expected.attack])
        const { target = VICTIM, direction = 'incoming' } = expected
        assert.deepEqual(scene.banned(), expected.banned ?? [`${target}/32 ${direction}`])
        const [attack, ...others] = scene.attacks.active()
        assert.deepEqual(others, [], 'one attack')
        assert.equal(attack?.target, target)
        assert.equal(attack?.direction, direction)
        assert.equal(attack?.type, expected.type)
        assert.equal(attack?.traffic, expected.traffic ?? expected.type)
        assert.deepEqual(
          attack?.bans,
          scene.bans.active().map(({ id }) => id),
        )
        const [hook] = scene.hooks
        assert.ok(hook && hook.atMs - began <= expected.withinMs, `after ${(hook?.atMs ?? 0) - began} ms`)
        // What the hook is told, at once, of an attack of this kind; carpet and pulses show later.
        const told = expected.type === 'pulse' ? expected.traffic : expected.type
        assert.equal(hook.ban.attackType, told)
        assert.match(hook.ban.reason, new RegExp(`^${told}: `))

        // It ends, and so does the ban.
        scene.play(100, background)
        assert.deepEqual(scene.banned(), [])
        assert.deepEqual(scene.attacks.active(), [])
        const [record] = scene.attacks.list(true, 1)
        assert.ok(record && record.endedUnixMs >= record.startedUnixMs)
        assert.ok(record.packets > 0)
        assert.deepEqual(
          scene.hooks.map(({ action }) => action),
          ['ban', 'unban'],
        )
      } finally {
        scene.end()
      }
    })
  }

  it('two victims at once, each with its own kind', () => {
    const scene = new Scene()
    try {
      scene.play(5, background)
      scene.play(5, [
        ...background,
        { address: VICTIM, pps: 80_000, size: 44, kind: 'tcpSyn', flows: 80_000 },
        { address: '198.51.100.7', pps: 50_000, size: 1400, kind: 'udp', vector: 'ntp' },
      ])
      assert.deepEqual(scene.banned().sort(), ['198.51.100.7/32 incoming', '203.0.113.9/32 incoming'])
      assert.deepEqual(
        scene.attacks
          .active()
          .map(({ target, type }) => `${target} ${type}`)
          .sort(),
        ['198.51.100.7 ntp_amplification', '203.0.113.9 syn_flood'],
      )
    } finally {
      scene.end()
    }
  })

  it('adds up what came: peak and totals of a flood of known size', () => {
    const scene = new Scene()
    try {
      scene.play(5, [])
      scene.play(10, [{ address: VICTIM, pps: 100_000, size: 500, kind: 'udp' }])
      scene.play(60, [])
      const [record] = scene.attacks.list(true, 1)
      assert.equal(record?.peak.pps, 100_000)
      assert.equal(record?.peak.bps, 400e6)
      // A million packets were sent; samples of a second may miss a part of the first and the last.
      assert.ok(record && Math.abs(record.packets - 1_000_000) <= 100_000, `${record?.packets}`)
      assert.equal(record.bytes, record.packets * 500)
      assert.ok(Math.abs(record.lastSeenUnixMs - record.startedUnixMs - 10_000) <= 1500)
    } finally {
      scene.end()
    }
  })

  it('nothing in a prefix with an exempt address is banned as a whole', () => {
    const scene = new Scene()
    try {
      scene.play(
        5,
        Array.from({ length: 256 }, (_, index) => ({
          address: `198.51.100.${index}`,
          pps: 1500,
          size: 400,
          kind: 'udp' as const,
        })),
      )
      assert.ok(scene.banned().length > 0)
      assert.ok(
        scene.banned().every((ban) => ban.endsWith('/32 incoming') && ban !== '198.51.100.1/32 incoming'),
      )
    } finally {
      scene.end()
    }
  })
})
