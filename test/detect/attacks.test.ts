// SPDX-License-Identifier: Apache-2.0
//
// Real packets through real daemons: every kind of attack is found with its type, direction and victim, and nothing
// harmless is banned. One lab for all of it; the thresholds are low, so that modest rates are floods.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Attack, Direction } from '@flowdam/proto'
import { Lab } from '@flowdam/scripts/lab/lab'
import { CUSTOMER_NETWORKS } from '@flowdam/scripts/lab/network'
import type { Traffic } from '@flowdam/scripts/lab/traffic'
import { waitFor } from '@flowdam/scripts/lab/wait'

const THRESHOLD_PPS = 3000
const FLOOD_PPS = 4 * THRESHOLD_PPS
const CARPET_PPS = 9000
/** Per CPU; a flood of more sources fills it. */
const FLOW_SLOTS = 4096

// The document is written beside and renamed, so that whoever sees it sees all of it.
const HOOK = `#!/bin/sh
cd "$(dirname "$0")" && cat > "part-$$" && mv "part-$$" "$FLOWDAM_ACTION-$FLOWDAM_BAN_ID.json"
`

interface HookCall {
  action: string
  prefix: string
  direction: string
  attack_id: string
  attack_type: string
}

interface Scenario {
  title: string
  victim: string
  args: string[]
  type: string
  outgoing?: true
  /** What must have come before it is looked into; default: any flow. */
  isReady?: (detail: NonNullable<Attack['detail']>) => boolean
  /** Looks into the record when its flows have come. */
  check?: (detail: NonNullable<Attack['detail']>) => void
}

const reflected = (reflector: string, port: number, host: number): Scenario => ({
  title: `${reflector} amplification`,
  victim: `203.0.113.${host}`,
  args: ['--profile', 'amplification', '--reflector', reflector],
  type: `${reflector}_amplification`,
  check: ({ sources, spoofing }) => {
    assert.equal(sources?.ports[0]?.name, String(port))
    // The generator's reflectors are in a documentation prefix, and send many packets each.
    assert.equal(sources?.prefixes[0]?.name, '198.51.100.0/24')
    assert.ok((spoofing?.singlePacket ?? 1) < 0.1)
  },
})

const SCENARIOS: Scenario[] = [
  {
    title: 'SYN flood',
    victim: '203.0.113.10',
    args: ['--profile', 'syn-flood'],
    type: 'syn_flood',
    check: ({ tcpFlags, targetPorts, sizeMax }) => {
      assert.deepEqual(tcpFlags[0]?.name, 'SYN')
      assert.deepEqual(new Set(targetPorts.slice(0, 2).map(({ name }) => name)), new Set(['80', '443']))
      assert.equal(sizeMax, 40)
    },
  },
  { title: 'UDP flood', victim: '203.0.113.11', args: ['--profile', 'udp-flood'], type: 'udp_flood' },
  reflected('dns', 53, 12),
  reflected('ntp', 123, 13),
  reflected('ssdp', 1900, 14),
  reflected('cldap', 389, 15),
  reflected('memcached', 11211, 16),
  {
    title: 'ICMP flood',
    victim: '203.0.113.17',
    args: ['--profile', 'icmp-flood', '--flows', '100'],
    type: 'icmp_flood',
    check: ({ protocols }) => assert.equal(protocols[0]?.name, 'icmp'),
  },
  {
    title: 'flood of fragments',
    victim: '203.0.113.18',
    args: ['--profile', 'fragment-flood', '--flows', '100'],
    type: 'ip_fragmentation',
  },
  {
    title: 'flood over IPv6',
    victim: '2001:db8:1::19',
    args: ['--profile', 'udp-flood'],
    type: 'udp_flood',
    check: ({ sources }) => assert.equal(sources?.prefixes[0]?.name, '2001:db8:ffff::/48'),
  },
  {
    title: 'flood from one of ours',
    victim: '203.0.113.20',
    args: ['--profile', 'udp-flood'],
    type: 'udp_flood',
    outgoing: true,
    check: ({ sources, spoofing }) => {
      assert.equal(sources?.prefixes[0]?.name, '198.51.100.0/24')
      assert.equal(spoofing, undefined)
    },
  },
  {
    title: 'spoofed flood with a full flow table',
    victim: '203.0.113.21',
    // So many sources that none comes again within ten seconds: each has sent one packet when it is looked into.
    args: ['--profile', 'spoofed-flood', '--flows', '400000', '--rate', '40000'],
    type: 'mixed_flood',
    // It tells what it does not know.
    isReady: ({ missingPackets, sources }) => missingPackets > 0 && (sources?.distinct ?? 0) > 2000,
    check: ({ sources, spoofing }) => {
      assert.ok((sources?.distinct ?? 0) > 2000)
      assert.ok(spoofing && spoofing.singlePacket > 0.9 && spoofing.bogon > 0.9, JSON.stringify(spoofing))
    },
  },
]

const HARMLESS: { title: string; runs: string[][] }[] = [
  {
    title: 'flash crowd below the threshold',
    runs: [
      ['--profile', 'ack-flood', '--victim', '203.0.113.40', '--flows', '800', '--rate', '1500'],
      ['--profile', 'syn-flood', '--victim', '203.0.113.40', '--flows', '800', '--rate', '500'],
    ],
  },
  {
    title: 'one big download',
    runs: [
      [
        '--profile',
        'ack-flood',
        '--victim',
        '203.0.113.41',
        '--flows',
        '1',
        '--size',
        '1500',
        '--rate',
        '2000',
      ],
    ],
  },
  {
    title: 'port scan of a /24',
    runs: [['--profile', 'port-scan', '--victim', '203.0.113.0/24', '--flows', '100000', '--rate', '3000']],
  },
  {
    title: 'port scan of one address',
    runs: [['--profile', 'port-scan', '--victim', '203.0.113.42', '--flows', '60000', '--rate', '1000']],
  },
]

describe('real packets, real daemons', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-detect-'))
  const script = join(folder, 'hook')
  const lab = new Lab({
    thresholdPps: THRESHOLD_PPS,
    bgp: false,
    hooks: [{ name: 'file', run: [script], format: 'json', timeout: '10s' }],
    agent: { flow_slots: FLOW_SLOTS },
    aggregator: {
      hostgroups: [
        {
          name: 'customers',
          prefixes: CUSTOMER_NETWORKS,
          incoming: { pps: THRESHOLD_PPS, syn_pps: THRESHOLD_PPS / 2, bps: '200M', flows: 20_000 },
          outgoing: { pps: THRESHOLD_PPS },
          carpet: { 'ipv4/24': { incoming: { pps: CARPET_PPS } } },
          window: '1s',
        },
      ],
      ban: { duration: '3s', max_duration: '3s' },
    },
  })
  const { daemons } = lab

  const calls = (): HookCall[] =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as HookCall)
  const hookOf = (prefix: string) =>
    waitFor(`the hook of ${prefix}`, () => calls().find((c) => c.action === 'ban' && c.prefix === prefix))
  const attackOf = async (target: string, type?: string) =>
    await waitFor(`an attack on ${target}${type ? ` of type ${type}` : ''}`, async () => {
      const { attacks } = await daemons.api.listAttacks(true)
      const found = attacks.filter((attack) => attack.target === target)
      assert.ok(found.length <= 1, `${found.length} attacks on ${target}`)
      return found.find((attack) => type === undefined || attack.type === type)
    })
  const detailOf = (id: string, isReady: Scenario['isReady'] = () => true) =>
    waitFor(`the flows of ${id}`, async () => {
      const detail = (await daemons.api.getAttack(id)).attack?.detail
      return detail && isReady(detail) ? detail : undefined
    })
  const flood = (args: readonly string[], outgoing = false): Traffic => {
    const rate = args.includes('--rate') ? [] : ['--rate', String(FLOOD_PPS)]
    // Ends by itself if nobody stops it.
    return lab.send({
      from: outgoing ? 'customer' : 'internet',
      args: [...args, ...rate, '--duration', '300'],
    })
  }
  const nobodyBanned = async () => {
    assert.deepEqual((await daemons.api.listBans(true)).bans, [])
    assert.deepEqual((await daemons.api.listAttacks(true)).attacks, [])
  }

  before(async () => {
    writeFileSync(script, HOOK, { mode: 0o755 })
    await lab.start()
  })
  after(async () => {
    await lab.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  for (const { title, runs } of HARMLESS) {
    it(`${title}: counted, and nobody is banned`, async () => {
      const seen = async () => (await daemons.api.getStatus()).ledger?.seenPackets ?? 0
      const before = await seen()
      const traffic = runs.map((args) => lab.send({ from: 'internet', args: [...args, '--duration', '2.5'] }))
      const sent = (await Promise.all(traffic.map((run) => run.ended()))).reduce(
        (n, run) => n + run.packets,
        0,
      )
      await waitFor('all of it to be counted', async () => (await seen()) - before >= sent)
      await nobodyBanned()
    })
  }

  for (const { title, victim, args, type, outgoing = false, isReady, check } of SCENARIOS) {
    it(`${title}: found with type, direction and victim, banned, and reported`, async () => {
      const traffic = flood([...args, '--victim', victim], outgoing)
      const prefix = `${victim}/${victim.includes(':') ? 128 : 32}`
      const hook = await hookOf(prefix)
      const attack = await attackOf(victim, type)
      const detail = await detailOf(attack.id, isReady)
      await traffic.stop()
      const direction = outgoing ? 'outgoing' : 'incoming'
      assert.deepEqual([hook.direction, hook.attack_id], [direction, attack.id])
      assert.equal(attack.direction, outgoing ? Direction.DIRECTION_OUTGOING : Direction.DIRECTION_INCOMING)
      assert.equal(attack.scope, 'host')
      assert.equal(attack.bans.length, 1)
      assert.ok(detail.packets + detail.missingPackets > 0)
      check?.(detail)
    })
  }

  it('two victims at once, each with its own kind', async () => {
    const kinds = { '203.0.113.50': 'syn-flood', '203.0.113.51': 'udp-flood' }
    const runs = Object.entries(kinds).map(([victim, profile]) =>
      flood(['--profile', profile, '--victim', victim, '--rate', String(2 * THRESHOLD_PPS)]),
    )
    for (const victim of Object.keys(kinds)) await hookOf(`${victim}/32`)
    await attackOf('203.0.113.50', 'syn_flood')
    await attackOf('203.0.113.51', 'udp_flood')
    await Promise.all(runs.map((run) => run.stop()))
  })

  it('pulses are one attack that comes in bursts', async () => {
    const victim = '203.0.113.52'
    for (let pulse = 0; pulse < 3; pulse++) {
      const args = ['--profile', 'udp-flood', '--victim', victim, '--rate', String(FLOOD_PPS)]
      await lab.send({ from: 'internet', args: [...args, '--count', String(FLOOD_PPS * 0.7)] }).ended()
      if (pulse < 2) await sleep(3000)
    }
    const { traffic, bursts } = await attackOf(victim, 'pulse')
    assert.deepEqual([traffic, bursts], ['udp_flood', 3])
  })

  it('kill -9 of the aggregator in the middle: the same attack goes on, nothing is doubled', async () => {
    const victim = '203.0.113.53'
    const traffic = flood(['--profile', 'udp-flood', '--victim', victim])
    await hookOf(`${victim}/32`)
    const before = await attackOf(victim)
    await daemons.aggregator.stop('SIGKILL')
    const killedAt = Date.now()
    await daemons.startAggregator()
    const after = await waitFor('the attack to be seen again', async () => {
      const attack = await attackOf(victim)
      return attack.lastSeenUnixMs > killedAt && attack
    })
    assert.deepEqual([after.id, after.startedUnixMs, after.endedUnixMs], [before.id, before.startedUnixMs, 0])
    await detailOf(after.id)
    await traffic.stop()
    assert.equal((await attackOf(victim)).bursts, 1)
  })

  it('carpet bombing of a /24, each address below its threshold: the prefix is banned', async () => {
    // What is over its own threshold, or was just now, is another attack.
    await waitFor('nothing to be banned', async () => (await daemons.api.listBans(false)).bans.length === 0)
    const traffic = flood(['--profile', 'udp-flood', '--victim', '203.0.113.0/24', '--flows', '2000'])
    const hook = await hookOf('203.0.113.0/24')
    const attack = await attackOf('203.0.113.0/24', 'carpet_bombing')
    // Of more flows than there are addresses.
    await detailOf(attack.id, ({ flows }) => flows > 254)
    await traffic.stop()
    assert.deepEqual([attack.scope, attack.traffic, hook.direction], ['prefix', 'udp_flood', 'incoming'])
    const bans = calls().filter((call) => call.action === 'ban' && call.attack_id === attack.id)
    assert.equal(bans.length, 1)
  })
})
