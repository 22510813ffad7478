// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parsePrefix } from '@flowdam/common'
import { ATTACK_VECTORS, DeltaClass } from '@flowdam/proto'
import fc from 'fast-check'
import type { AgentInfo } from '../contracts.js'
import { delta, hostDeltas } from '../testing/delta-agent.js'
import type { Detection } from './detection.js'
import { Detector } from './detector.js'
import type { Thresholds } from './limits.js'
import { type DetectionSource, PolicySet } from './policies.js'

const VICTIM = '203.0.113.9'

function policies(incoming: Thresholds, window = 1000, outgoing: Thresholds = {}): PolicySet {
  return new PolicySet({
    networks: [parsePrefix('203.0.113.0/24'), parsePrefix('2001:db8::/32')],
    thresholds: { incoming, outgoing, window },
    hostgroups: [],
  })
}

/** A detector on a clock of its own, and agents that send it `pps` packets a second. */
function scene(set: PolicySet) {
  let now = 10_000
  const detections: (Detection & { at: number })[] = []
  const detector = new Detector({
    policies: set,
    counters: { maxAddresses: 1000, maxEntries: 1e6, idleMs: 1000 },
    clock: () => now,
    onDetection: (detection) => detections.push({ ...detection, at: now }),
  })
  const seqs = new Map<string, number>()
  const send = (agent: string, coversMs: number, entries: Parameters<typeof hostDeltas>[2]) => {
    const seq = (seqs.get(agent) ?? 0) + 1
    seqs.set(agent, seq)
    detector.onHostDeltas(agent, hostDeltas(seq, coversMs, entries, 0), 0)
  }
  return {
    detector,
    detections,
    send,
    /** Messages that went elsewhere. */
    skip: (agent: string, messages: number) => seqs.set(agent, (seqs.get(agent) ?? 0) + messages),
    wait: (ms: number) => {
      now += ms
      return now
    },
    now: () => now,
    /** Constant traffic; `interval` gives the length of each interval. */
    traffic(durationMs: number, pps: number, interval: () => number = () => 100) {
      const end = now + durationMs
      let rest = 0
      while (now < end) {
        const ms = interval()
        now += ms
        const exact = (pps * ms) / 1000 + rest
        rest = exact - Math.floor(exact)
        send('edge1', ms, [delta(VICTIM, Math.floor(exact), Math.floor(exact) * 60)])
      }
    },
  }
}

describe('detector', () => {
  it('fires as soon as the window’s budget is exceeded: five times the threshold in a fifth of the window', () => {
    const s = scene(policies({ pps: 20_000 }))
    s.traffic(3000, 1000)
    const began = s.now()
    s.traffic(1000, 100_000)
    const [first] = s.detections
    assert.ok(first)
    assert.ok(first.at - began <= 300, `after ${first.at - began} ms`)
    assert.equal(first.metric, 'pps')
    assert.equal(first.target, VICTIM)
    assert.equal(first.direction, 'incoming')
    // The size of the flood, not the average over a window that it has not filled yet.
    assert.equal(first.value, 100_000)
    assert.equal(first.rates.incoming.all.pps, 100_000)
    assert.equal(first.rates.incoming.udp.bps, 100_000 * 60 * 8)
  })

  it('never fires below a threshold and always above it, whatever the agent’s timer does', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 0.999, noNaN: true }),
        fc.double({ min: 0, max: 3, noNaN: true }),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        (load, slow, chance) => {
          // Timers are late, never early: 100 ms and up to `slow` more.
          const interval = () => 100 + slow * (chance.next().value ?? 0)
          const below = scene(policies({ pps: 20_000 }))
          below.traffic(5000, 20_000 * load, interval)
          assert.equal(below.detections.length, 0)
          const above = scene(policies({ pps: 20_000 }))
          above.traffic(5000, 20_000 * 1.12, interval)
          assert.ok(above.detections.length > 0)
        },
      ),
      { numRuns: 100 },
    )
  })

  it('is exact where intervals fit the window: 1 % below is quiet, 1 % above fires', () => {
    for (const interval of [10, 50, 100, 101, 200]) {
      const below = scene(policies({ pps: 20_000 }))
      below.traffic(5000, 19_800, () => interval)
      assert.equal(below.detections.length, 0, `${interval} ms`)
      const above = scene(policies({ pps: 20_000 }))
      above.traffic(5000, 20_300, () => interval)
      assert.ok(above.detections.length > 0, `${interval} ms`)
    }
  })

  it('sees no flood in messages that a stall held back and delivers at once', () => {
    const s = scene(policies({ pps: 20_000 }))
    s.traffic(3000, 15_000)
    // Four seconds of silence, then forty messages in one millisecond.
    s.wait(4000)
    for (let i = 0; i < 40; i++) s.send('edge1', 100, [delta(VICTIM, 1500, 90_000)])
    s.traffic(2000, 15_000)
    assert.equal(s.detections.length, 0)
  })

  it('sees no flood in steady traffic, however late and in whatever bursts its messages arrive', () => {
    const delays = fc.array(
      fc.oneof(
        { weight: 8, arbitrary: fc.integer({ min: 0, max: 40 }) },
        { weight: 1, arbitrary: fc.integer({ min: 40, max: 6000 }) },
      ),
      { minLength: 50, maxLength: 300 },
    )
    // How much a delay moves towards what was drawn: at once, or slowly as a queue that fills.
    fc.assert(
      fc.property(delays, fc.constantFrom(1, 0.1, 0.02), (drawn, towards) => {
        const s = scene(policies({ pps: 20_000 }))
        let sentAt = 0
        let now = 0
        let delay = 0
        for (const aim of drawn) {
          sentAt += 100
          delay += (aim - delay) * towards
          const arrival = Math.max(now, sentAt + delay)
          s.wait(arrival - now)
          now = arrival
          s.send('edge1', 100, [delta(VICTIM, 1900, 114_000)])
        }
        assert.equal(s.detections.length, 0)
      }),
      { numRuns: 300 },
    )
  })

  it('sees a flood within seconds though all messages are later than the window is long', () => {
    const s = scene(policies({ pps: 20_000 }))
    s.traffic(3000, 1000)
    // A queue on the way fills: three seconds of delay, 30 % more each interval; then it stays.
    for (let i = 0; i < 100; i++) {
      s.wait(130)
      s.send('edge1', 100, [delta(VICTIM, 100, 6000)])
    }
    assert.equal(s.detections.length, 0)
    s.traffic(3000, 30_000)
    assert.ok(s.detections.length > 0)
  })

  it('sees a flood within seconds after time that the agent never accounted for', () => {
    const s = scene(policies({ pps: 20_000 }))
    s.traffic(3000, 1000)
    s.wait(5000)
    s.traffic(3500, 30_000)
    assert.ok(s.detections.length > 0)
  })

  it('takes a merged message for what it is: an average over the time that it covers', () => {
    const quiet = scene(policies({ pps: 20_000 }))
    quiet.traffic(1000, 1000)
    quiet.wait(10_000)
    // 150 000 packets, but over ten seconds.
    quiet.send('edge1', 10_000, [delta(VICTIM, 150_000, 9_000_000)])
    assert.equal(quiet.detections.length, 0)
    const loud = scene(policies({ pps: 20_000 }))
    loud.traffic(1000, 1000)
    loud.wait(10_000)
    loud.send('edge1', 10_000, [delta(VICTIM, 250_000, 15_000_000)])
    assert.equal(loud.detections[0]?.value, 25_000)
  })

  it('spreads all parts of a merged message over the time that it covers', () => {
    const s = scene(policies({ pps: 20_000 }))
    s.traffic(1000, 1000)
    s.wait(10_000)
    // 150 000 packets to each of two addresses, over ten seconds, too many addresses for one message.
    s.send('edge1', 10_000, [delta('203.0.113.8', 150_000, 9_000_000)])
    s.send('edge1', 0, [delta(VICTIM, 150_000, 9_000_000)])
    assert.equal(s.detections.length, 0)
    s.wait(100)
    s.send('edge1', 100, [delta('203.0.113.8', 3000, 180_000)])
    s.send('edge1', 0, [delta(VICTIM, 3000, 180_000)])
    assert.equal(s.detector.host(VICTIM)?.rates.incoming.all.pps, 3000)
  })

  it('lets the parts of a message leave the window together', () => {
    const s = scene(policies({ pps: 20_000 }))
    for (let i = 0; i < 50; i++) {
      s.wait(200)
      s.send('edge1', 200, [delta('203.0.113.8', 3800, 228_000)])
      s.wait(3)
      s.send('edge1', 0, [delta(VICTIM, 3800, 228_000)])
      s.wait(-3)
    }
    assert.equal(s.detections.length, 0)
    s.wait(200)
    s.send('edge1', 200, [delta('203.0.113.8', 10_000, 600_000)])
    s.send('edge1', 0, [delta(VICTIM, 10_000, 600_000)])
    const found = s.detections.find(({ target }) => target === VICTIM)
    assert.equal(found?.value, 50_000)
    assert.equal(found?.mix.packets, 10_000)
  })

  it('makes no flood of a part whose beginning another process got', () => {
    const s = scene(policies({ pps: 20_000 }))
    s.send('edge1', 0, [delta(VICTIM, 1_000_000, 60_000_000)])
    assert.equal(s.detections.length, 0)
    assert.equal(s.detector.losses.late, 1)
    s.traffic(3000, 30_000)
    assert.ok(s.detections.length > 0)
    assert.equal(s.detector.losses.late, 1)
  })

  it('counts what comes too late for any window', () => {
    const s = scene(policies({ pps: 20_000 }))
    s.traffic(3000, 1000)
    s.wait(5000)
    s.traffic(100, 1000)
    assert.equal(s.detector.losses.late, 1)
    assert.equal(s.detector.host(VICTIM)?.rates.incoming.all.pps, 0)
    s.detector.reconfigure(policies({ pps: 10_000 }))
    assert.equal(s.detector.losses.late, 1)
  })

  it('tells what a flood is made of though another agent’s messages just came all at once', () => {
    const s = scene(policies({ pps: 20_000 }))
    const quiet = [delta('203.0.113.8', 100, 6000)]
    // Three seconds late, long enough to be taken for current; then the queue on the way is gone.
    s.traffic(3000, 1000)
    for (let i = 0; i < 100; i++) {
      s.wait(100)
      s.send('edge2', 100, quiet)
      s.wait(30)
      s.send('edge1', 100, quiet)
    }
    for (let i = 0; i < 40; i++) {
      s.wait(100)
      s.send('edge1', 100, quiet)
      s.send('edge2', 100, quiet)
    }
    s.wait(110)
    for (let i = 0; i < 31; i++) s.send('edge1', 100, quiet)
    s.send('edge2', 100, [delta(VICTIM, 30_000, 1_800_000)])
    assert.equal(s.detections[0]?.mix.packets, 30_000)
    assert.equal(s.detections[0]?.value, 300_000)
  })

  it('sees a flood that began while the stream was away at once when it is back', () => {
    const s = scene(policies({ pps: 20_000 }))
    s.traffic(3000, 1000)
    s.wait(2100)
    s.detector.onAgentState({ id: 'edge1' } as AgentInfo, 'connected')
    // What was under way, and what added up since.
    s.send('edge1', 100, [delta(VICTIM, 4000, 240_000)])
    s.send('edge1', 2000, [delta(VICTIM, 80_000, 4_800_000)])
    assert.equal(s.detections[0]?.value, 40_000)
  })

  it('counts an agent that comes back from another aggregator at once', () => {
    const s = scene(policies({ pps: 20_000 }))
    s.traffic(3000, 1000)
    s.wait(3_600_000)
    s.skip('edge1', 36_000)
    s.traffic(500, 100_000)
    assert.ok(s.detections.length > 0)
  })

  it('has no more slack than its shortest window, though messages come every 10 ms', () => {
    for (const window of [100, 200, 1000]) {
      const s = scene(policies({ pps: 20_000 }, window))
      for (let round = 0; round < 5; round++) {
        // A delay that begins, stays, and ends.
        s.wait(20)
        s.traffic(3000, 19_000, () => 10)
        for (let i = 0; i < 2; i++) s.send('edge1', 10, [delta(VICTIM, 190, 11_400)])
        s.traffic(3000, 19_000, () => 10)
      }
      assert.equal(s.detections.length, 0, `${window} ms`)
    }
  })

  it('measures what it is, in intervals of 10 ms that timers deliver in clumps', () => {
    const s = scene(policies({ pps: 20_000 }))
    s.traffic(3000, 1000, () => 10)
    // 100 000 packets a second, three messages at a time.
    for (let i = 0; i < 20; i++) {
      s.wait(30)
      for (let part = 0; part < 3; part++) s.send('edge1', 10, [delta(VICTIM, 1000, 60_000)])
    }
    assert.ok(s.detections.length > 0)
    for (const { value } of s.detections) assert.ok(value <= 110_000, `${value} pps`)
  })

  it('adds up what several agents see', () => {
    const s = scene(policies({ pps: 20_000 }))
    for (let i = 0; i < 20; i++) {
      s.wait(50)
      s.send('edge1', 100, [delta(VICTIM, 1200, 72_000)])
      s.wait(50)
      s.send('edge2', 100, [delta(VICTIM, 1200, 72_000)])
    }
    assert.ok(s.detections.length > 0)
    assert.ok((s.detections[0]?.value ?? 0) > 20_000)
  })

  it('keeps directions, protocols and flags apart', () => {
    const cases: [Thresholds, Thresholds, ReturnType<typeof delta>, string][] = [
      [
        { syn_pps: 10_000 },
        {},
        delta(VICTIM, 2000, 120_000, { class: DeltaClass.tcpSyn }),
        'incoming syn_pps',
      ],
      [{ tcp_pps: 10_000 }, {}, delta(VICTIM, 2000, 120_000, { class: DeltaClass.tcp }), 'incoming tcp_pps'],
      [
        { tcp_pps: 10_000 },
        {},
        delta(VICTIM, 2000, 120_000, { class: DeltaClass.tcpOther }),
        'incoming tcp_pps',
      ],
      [
        { icmp_pps: 10_000 },
        {},
        delta(VICTIM, 2000, 120_000, { class: DeltaClass.icmp }),
        'incoming icmp_pps',
      ],
      [{ fragment_pps: 10_000 }, {}, delta(VICTIM, 2000, 120_000, { marks: 1 }), 'incoming fragment_pps'],
      [{ bps: 1e9 }, {}, delta(VICTIM, 10_000, 15_000_000), 'incoming bps'],
      [{ flows: 3500 }, {}, delta(VICTIM, 1000, 60_000, { flows: 1000 }), 'incoming flows'],
      [{}, { pps: 10_000 }, delta(VICTIM, 2000, 120_000, { direction: 1 }), 'outgoing pps'],
    ]
    for (const [incoming, outgoing, entry, expected] of cases) {
      const hit = scene(policies(incoming, 1000, outgoing))
      // Everything else is far over what is set, and must not matter.
      const miss = scene(policies(incoming, 1000, outgoing))
      for (let i = 0; i < 10; i++) {
        hit.wait(100)
        hit.send('edge1', 100, [entry])
        miss.wait(100)
        miss.send('edge1', 100, [
          delta(VICTIM, 50, 3000, { ...entry, packets: 50, bytes: 3000, flows: 1 }),
          delta(VICTIM, 1_000_000, 60_000_000, {
            direction: 1 - entry.direction,
            class: entry.class,
            marks: entry.marks,
            flows: 100_000,
          }),
        ])
      }
      const [first] = hit.detections
      assert.equal(`${first?.direction} ${first?.metric}`, expected)
      assert.equal(miss.detections.length, 0, expected)
    }
  })

  it('says it again while the attack lasts, but not at every message', () => {
    const s = scene(policies({ pps: 1000 }))
    s.traffic(5000, 50_000)
    assert.ok(s.detections.length >= 8 && s.detections.length <= 11, `${s.detections.length} times`)
  })

  it('takes new thresholds over without forgetting what it has seen', () => {
    const s = scene(policies({ pps: 20_000 }))
    s.traffic(2000, 10_000)
    assert.equal(s.detections.length, 0)
    s.detector.reconfigure(policies({ pps: 5000 }))
    s.traffic(100, 10_000)
    assert.equal(s.detections.length, 1)
    s.detector.reconfigure(policies({ pps: 5000 }, 500))
    assert.equal(s.detector.host(VICTIM)?.rates.incoming.all.pps, 10_000)
  })

  it('orders the busiest hosts, and forgets idle ones', () => {
    const s = scene(policies({ pps: 1e6 }))
    for (let i = 0; i < 10; i++) {
      s.wait(100)
      s.send(
        'edge1',
        100,
        Array.from({ length: 100 }, (_, host) => delta(`203.0.113.${host}`, host * 10, 60_000 - host)),
      )
    }
    assert.deepEqual(
      s.detector.top('pps', 3).map((host) => host.address),
      ['203.0.113.99', '203.0.113.98', '203.0.113.97'],
    )
    assert.equal(s.detector.top('bps', 1)[0]?.address, '203.0.113.0')
    assert.equal(s.detector.top('pps', 1)[0]?.incoming.pps, 9900)
    assert.equal(s.detector.trackedAddresses, 100)
    s.wait(5000)
    assert.deepEqual(s.detector.top('pps', 3), [])
    s.wait(5000)
    s.detector.top('pps', 1)
    assert.equal(s.detector.trackedAddresses, 0)
  })
})

describe('thresholds of many addresses together', () => {
  const carpet = (source: Partial<DetectionSource>) =>
    scene(
      new PolicySet({
        networks: [
          parsePrefix('203.0.113.0/24'),
          parsePrefix('198.51.100.0/22'),
          parsePrefix('2001:db8::/32'),
        ],
        thresholds: { incoming: { pps: 1000 } },
        hostgroups: [],
        ...source,
      }),
    )
  /** `pps` to each of `addresses` for so many tenths of a second. */
  const bomb = (s: ReturnType<typeof scene>, addresses: readonly string[], pps: number, tenths: number) => {
    for (let i = 0; i < tenths; i++) {
      s.wait(100)
      s.send(
        'edge1',
        100,
        addresses.map((address) => delta(address, pps / 10, pps * 10)),
      )
    }
  }
  const hosts = (net: string, count: number) => Array.from({ length: count }, (_, index) => `${net}${index}`)

  it('fire when no address does: the prefix, with its addresses and what they get', () => {
    const s = carpet({
      thresholds: { incoming: { pps: 1000 }, carpet: { 'ipv4/24': { incoming: { pps: 10_000 } } } },
    })
    bomb(s, hosts('203.0.113.', 100), 90, 30)
    assert.equal(s.detections.length, 0)
    const began = s.now()
    bomb(s, hosts('203.0.113.', 100), 500, 10)
    const [first] = s.detections
    assert.ok(first && first.at - began <= 300)
    assert.equal(first.scope, 'prefix')
    assert.equal(first.target, '203.0.113.0/24')
    assert.equal(first.prefix?.text, '203.0.113.0/24')
    assert.equal(first.hosts.length, 100)
    assert.equal(first.value, 50_000)
    assert.equal(first.rates.incoming.udp.pps, 50_000)
    assert.ok(first.shared > 10_000)
    assert.ok(s.detections.every(({ scope }) => scope === 'prefix'))
  })

  it('leave an address alone that is over its own: that one fires, the prefix does not', () => {
    const s = carpet({
      thresholds: { incoming: { pps: 1000 }, carpet: { 'ipv4/24': { incoming: { pps: 10_000 } } } },
    })
    bomb(s, ['203.0.113.9'], 100_000, 30)
    assert.deepEqual([...new Set(s.detections.map(({ target }) => target))], ['203.0.113.9'])
  })

  it('hold for every length, IPv4 and IPv6, and are inherited by longest match', () => {
    const s = carpet({
      thresholds: {
        carpet: { 'ipv4/24': { incoming: { pps: 10_000 } }, 'ipv6/64': { incoming: { pps: 5000 } } },
      },
      hostgroups: [
        {
          name: 'tough',
          prefixes: [parsePrefix('203.0.113.0/24')],
          carpet: { 'ipv4/24': { incoming: { pps: 100_000 } }, 'ipv4/28': { incoming: { pps: 2000 } } },
        },
      ],
    })
    bomb(s, hosts('203.0.113.', 200), 100, 10)
    assert.equal(s.detections.length, 0, 'the hostgroup allows 100 000')
    bomb(s, hosts('203.0.113.', 16), 200, 10)
    assert.equal(s.detections[0]?.target, '203.0.113.0/28')
    bomb(s, [], 0, 50)
    s.detections.length = 0
    bomb(s, hosts('2001:db8:0:7::', 100), 100, 10)
    assert.equal(s.detections[0]?.target, '2001:db8:0:7::/64')
    bomb(s, hosts('198.51.101.', 200), 100, 10)
    assert.equal(s.detections.at(-1)?.target, '198.51.101.0/24')
  })

  it('hold for hostgroups and in total', () => {
    const s = carpet({
      thresholds: { incoming: { pps: 1000 }, total: { incoming: { pps: 20_000 } } },
      hostgroups: [
        { name: 'web', prefixes: [parsePrefix('203.0.113.0/25')], total: { incoming: { pps: 5000 } } },
      ],
    })
    bomb(s, hosts('203.0.113.', 100), 60, 15)
    assert.deepEqual(
      [...new Set(s.detections.map(({ scope, target }) => `${scope} ${target}`))],
      ['hostgroup web'],
    )
    bomb(s, [], 0, 50)
    s.detections.length = 0
    bomb(s, hosts('198.51.100.', 250), 100, 15)
    assert.deepEqual([...new Set(s.detections.map(({ scope }) => scope))], ['total'])
    assert.equal(s.detector.host('203.0.113.5')?.thresholds.length, 1)
  })

  it('hold for each reflector’s port by itself', () => {
    const s = carpet({ thresholds: { incoming: { pps: 100_000, ntp_pps: 500, dns_bps: 1e6 } } })
    const ntp = ATTACK_VECTORS.find(({ name }) => name === 'ntp')?.number ?? 0
    for (let i = 0; i < 10; i++) {
      s.wait(100)
      s.send('edge1', 100, [
        delta(VICTIM, 5000, 500_000),
        delta('203.0.113.10', 100, 48_000, { vector: ntp }),
      ])
    }
    assert.deepEqual([...new Set(s.detections.map(({ target }) => target))], ['203.0.113.10'])
    const [first] = s.detections
    assert.equal(first?.metric, 'ntp_pps')
    assert.equal(first?.value, 1000)
    assert.deepEqual(first?.mix.vectors, [{ name: 'ntp', packets: 100, bytes: 48_000 }])
  })
})

describe('policies', () => {
  it('inherit total → hostgroup → narrower hostgroup by longest match', () => {
    const set = new PolicySet({
      networks: [parsePrefix('203.0.113.0/24'), parsePrefix('2001:db8::/32')],
      thresholds: { incoming: { pps: 1000, bps: 1e6 }, window: 2000 },
      hostgroups: [
        {
          name: 'narrow',
          prefixes: [parsePrefix('203.0.113.8/29')],
          incoming: { pps: 10, bps: null },
          window: 500,
        },
        {
          name: 'wide',
          prefixes: [parsePrefix('203.0.113.0/25')],
          incoming: { pps: 100 },
          outgoing: { flows: 5 },
        },
      ],
    })
    const show = (address: string) => {
      const policy = set.policyFor(parsePrefix(address).bytes)
      return (
        policy && [
          policy.hostgroup,
          policy.windowMs,
          ...policy.limits.map((limit) => `${limit.direction} ${limit.metric} ${limit.rate}`),
        ]
      )
    }
    assert.deepEqual(show('203.0.113.9'), ['narrow', 500, 'incoming pps 10', 'outgoing flows 5'])
    assert.deepEqual(show('203.0.113.1'), [
      'wide',
      2000,
      'incoming pps 100',
      'incoming bps 1000000',
      'outgoing flows 5',
    ])
    assert.deepEqual(show('203.0.113.200'), ['', 2000, 'incoming pps 1000', 'incoming bps 1000000'])
    assert.deepEqual(show('2001:db8::1'), ['', 2000, 'incoming pps 1000', 'incoming bps 1000000'])
    assert.equal(show('198.51.100.1'), undefined)
  })
})
