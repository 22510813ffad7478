// SPDX-License-Identifier: Apache-2.0
//
// Whatever a fastnetmon.conf says, what `flowdam import fastnetmon` makes of it is valid, and bans what FastNetMon would
// ban. FastNetMon's side is a model of it: the longest line of networks_list that holds an address decides, by a
// hostgroup with exactly this prefix, else by the thresholds for all; IPv6 knows no hostgroups.
// FLOWDAM_IMPORT_RUNS=20000 for a long run.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { agentSchema } from '@flowdam/agent/internal/config'
import { parseAggregatorConfig, policiesOf } from '@flowdam/aggregator'
import { FlowdamError, PrefixMap, parseAddress, parseConfigText, parsePrefix } from '@flowdam/common'
import { FEATURE_KEYS } from '@flowdam/ctl/internal/fastnetmon/features'
import { type Imported, importFastNetMon } from '@flowdam/ctl/internal/fastnetmon/import'
import { BAN_KEYS, MEASURES } from '@flowdam/ctl/internal/fastnetmon/thresholds'
import { ROOT } from '@flowdam/scripts/lab/root'
import fc from 'fast-check'

const RUNS = Number(process.env['FLOWDAM_IMPORT_RUNS'] ?? 400)
const STOCK = '/etc/fastnetmon.conf'

const folder = mkdtempSync(join(tmpdir(), 'flowdam-import-'))
after(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'fastnetmon.conf')
const networksList = join(folder, 'networks_list')
const whitelist = join(folder, 'networks_whitelist')
const script = join(folder, 'notify.sh')
writeFileSync(script, '#!/bin/sh\n', { mode: 0o755 })

function run(conf: string, networks: readonly string[], exempt: readonly string[] = []): Imported {
  writeFileSync(file, conf)
  writeFileSync(networksList, networks.join('\n'))
  writeFileSync(whitelist, exempt.join('\n'))
  return importFastNetMon({
    file,
    networksList,
    whitelist,
    folder,
    hooksFolder: join(ROOT, 'scripts', 'hooks'),
  })
}

/** What --check does, for both files. */
function check({ files }: Imported) {
  const agent = files.get('agent.yaml')
  if (agent !== undefined) parseConfigText('agent.yaml', agent, agentSchema)
  return parseAggregatorConfig('aggregator.yaml', files.get('aggregator.yaml') ?? '')
}

const significant = (text: string) => text.split('\n').filter((line) => /^\s*[^#\s]/.test(line)).length

const NETWORKS = [
  '203.0.113.0/24',
  '203.0.113.64/26',
  '203.0.113.80/28',
  '198.51.100.0/25',
  '2001:db8::/32',
  '2001:db8:7::/48',
]
const ADDRESSES = [
  '203.0.113.1',
  '203.0.113.70',
  '203.0.113.81',
  '198.51.100.3',
  '2001:db8::1',
  '2001:db8:7::1',
]
const GROUPS = ['web', 'web_dns', 'my hosts']

const onOff = fc.constantFrom('on', 'off')
const anyText = fc.oneof(
  fc.constantFrom(
    '',
    'on',
    'off',
    'yes',
    '0',
    '1',
    '5',
    '-1',
    '4294967296',
    '/a/path',
    script,
    '203.0.113.1',
    '2001:db8::1',
  ),
  fc.constantFrom('65001:666', '[65001:666 65001:777]', 'eth0,eth1', 'web:203.0.113.0/24', 'eth0 # comment'),
  fc.string({ maxLength: 20 }),
  fc.string({ maxLength: 8, unit: 'binary' }),
)
const KEYS = [
  ...BAN_KEYS,
  ...FEATURE_KEYS,
  ...GROUPS.flatMap((group) => BAN_KEYS.map((key) => `${group}_${key}`)),
  'hostgroup',
  'ban_time',
  'average_calculation_time',
  'interfaces',
  'notify_script_path',
  'enable_api',
  'process_incoming_traffic',
  'enable_connection_tracking',
  ...['', '_command_pipe', '_community', '_community_host', '_next_hop', '_announce_host'].map(
    (key) => `exabgp${key}`,
  ),
  ...['', '_next_hop', '_announce_host', '_announce_host_ipv6', '_community_host'].map(
    (key) => `gobgp${key}`,
  ),
]

/** The settings that decide what is banned, all of them valid. */
const settings = (prefix: string) =>
  fc.record(
    Object.fromEntries([
      ...['enable_ban', 'enable_ban_ipv6', ...MEASURES.map(({ toggle }) => toggle)].map((key) => [
        prefix + key,
        onOff,
      ]),
      ...MEASURES.map(({ threshold }) => [
        prefix + threshold,
        fc.integer({ min: 0, max: 100_000 }).map(String),
      ]),
    ]) as Record<string, fc.Arbitrary<string>>,
    { requiredKeys: [] },
  )

const valid = fc.record({
  networks: fc.subarray(NETWORKS, { minLength: 1 }),
  exempt: fc.subarray([...ADDRESSES, '192.0.2.0/24']),
  grouped: fc.dictionary(
    fc.constantFrom(...GROUPS),
    fc.subarray(NETWORKS.slice(0, 4), { minLength: 1, maxLength: 2 }),
  ),
  settings: fc
    .tuple(settings(''), ...GROUPS.map((group) => settings(`${group}_`)))
    .map((parts): Record<string, string> => Object.assign({}, ...parts)),
  more: fc.record(
    {
      process_incoming_traffic: onOff,
      process_outgoing_traffic: onOff,
      enable_connection_tracking: onOff,
      average_calculation_time: fc.integer({ min: 0, max: 100 }).map(String),
      ban_time: fc.integer({ min: 0, max: 10_000_000 }).map(String),
      enable_api: onOff,
      notify_script_path: fc.constantFrom(script, '/nowhere'),
      mirror_afpacket: onOff,
      interfaces: fc.constantFrom('eth0', 'eth0,eth1', 'any'),
      clickhouse_metrics: onOff,
      exabgp: onOff,
      exabgp_command_pipe: fc.constant('/run/exabgp.cmd'),
      exabgp_community: fc.constantFrom('65001:666', '[65001:666 65001:777]'),
      exabgp_next_hop: fc.constantFrom('192.0.2.1', 'self'),
      exabgp_announce_host: onOff,
      gobgp: onOff,
      gobgp_announce_host: onOff,
      gobgp_announce_host_ipv6: onOff,
    },
    { requiredKeys: [] },
  ),
})

/** What FastNetMon bans an address for: direction and metric with the rate per second. */
function model(
  address: string,
  networks: readonly string[],
  owners: ReadonlyMap<string, string>,
  all: Readonly<Record<string, string>>,
): Map<string, number> | undefined {
  const own = new PrefixMap(networks.map((text) => [parsePrefix(text), text] as const)).lookup(
    parseAddress(address),
  )
  if (own === undefined) return undefined
  const found = new Map<string, number>()
  const group = address.includes(':') ? undefined : owners.get(own)
  const prefix = group === undefined ? '' : `${group}_`
  if (all[address.includes(':') ? 'enable_ban_ipv6' : `${prefix}enable_ban`] !== 'on') return found
  for (const direction of ['incoming', 'outgoing']) {
    if ((all[`process_${direction}_traffic`] ?? 'on') !== 'on') continue
    for (const { toggle, threshold, metric, factor } of MEASURES) {
      const value = Number(all[prefix + threshold] ?? 0)
      if (all[prefix + toggle] !== 'on' || value === 0) continue
      if (metric === 'flows' && (all['enable_connection_tracking'] ?? 'on') !== 'on') continue
      found.set(`${direction} ${metric}`, value * factor)
    }
  }
  return found
}

describe('what flowdam import fastnetmon makes', () => {
  it('is valid for any valid file, and has the thresholds that FastNetMon has for every address', () => {
    fc.assert(
      fc.property(valid, ({ networks, exempt, grouped, settings, more }) => {
        const owners = new Map<string, string>()
        const lines = Object.entries(grouped).map(([group, prefixes]) => {
          for (const prefix of prefixes)
            if (networks.includes(prefix) && !owners.has(prefix)) owners.set(prefix, group)
          // FastNetMon takes notice of what networks_list has as a line of its own.
          return `hostgroup = ${group}:${prefixes.filter((prefix) => networks.includes(prefix)).join(',')}`
        })
        const all: Record<string, string> = { ...settings, ...more }
        const conf = [...lines, ...Object.entries(all).map(([key, value]) => `${key} = ${value}`)].join('\n')
        const result = run(conf, networks, exempt)
        const config = check(result)
        assert.equal(
          result.findings.length,
          significant(conf) + networks.length + exempt.length,
          'a finding for each line',
        )
        const policies = policiesOf(config)
        for (const address of ADDRESSES) {
          const expected = model(address, networks, owners, all)
          const policy = policies.policyFor(parseAddress(address))
          assert.equal(policy === undefined, expected === undefined, address)
          // With ban.enabled: false the thresholds are those that would hold.
          if (!config.ban.enabled) assert.equal(expected?.size ?? 0, 0)
          else if (policy) {
            const limits = policy.limits.map(
              ({ direction, metric, rate }) => [`${direction} ${metric}`, rate] as const,
            )
            assert.deepEqual(new Map(limits.toSorted()), new Map([...(expected ?? [])].toSorted()), address)
          }
        }
      }),
      { numRuns: RUNS },
    )
  })

  it('is valid, or refused with file and line, whatever the files hold', () => {
    const line = fc.oneof(
      fc.tuple(fc.constantFrom(...KEYS), anyText).map(([key, value]) => `${key} = ${value}`),
      fc.string({ maxLength: 30 }),
      fc.string({ maxLength: 8, unit: 'binary' }),
    )
    const listed = fc.oneof(
      fc.constantFrom(...NETWORKS, ...ADDRESSES, '0.0.0.0/0', '::/0', '# no'),
      fc.string({ maxLength: 12 }),
    )
    let taken = 0
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 40 }),
        fc.array(listed, { maxLength: 5 }),
        (lines, networks) => {
          try {
            const result = run(lines.join('\n'), networks, networks)
            check(result)
            taken++
          } catch (error) {
            assert.ok(FlowdamError.is(error), String(error))
            assert.match(error.code, /^FD_IMPORT_(INVALID|NO_NETWORKS)$/, error.message)
            if (error.code === 'FD_IMPORT_INVALID')
              for (const text of error.message.split('\n')) assert.ok(text.startsWith(`${folder}/`), text)
          }
        },
      ),
      { numRuns: RUNS },
    )
    assert.ok(taken > RUNS / 50, `only ${taken} were taken`)
  })

  describe("Debian's stock fastnetmon.conf", {
    skip: existsSync(STOCK) ? false : 'the package fastnetmon is not installed',
  }, () => {
    const stock = existsSync(STOCK) ? readFileSync(STOCK, 'utf8') : ''

    it('gives a valid file, with a reason for each line and no key that is unknown', () => {
      const result = run(stock, ['203.0.113.0/24', '2001:db8::/32'])
      const config = check(result)
      const own = result.findings.filter((finding) => finding.file === file)
      assert.equal(own.length, significant(stock))
      assert.deepEqual(
        own.filter(({ text }) => text.includes('knows no such key')),
        [],
      )
      assert.deepEqual(config.thresholds.incoming, { pps: 20_000, bps: 1e9 })
      assert.deepEqual([config.ban.enabled, config.ban.duration], [true, 1_900_000])
    })

    it('with any of its switches turned over', () => {
      const keys = stock.split('\n').flatMap((line) => /^(\w+) *= *(?:on|off) *$/.exec(line)?.[1] ?? [])
      assert.ok(keys.length > 40, `${keys.length} switches`)
      for (const key of keys) {
        const turned = stock.replace(
          new RegExp(`^(${key} *= *)(on|off)`, 'm'),
          (_, start: string, word: string) => start + (word === 'on' ? 'off' : 'on'),
        )
        const result = run(turned, ['203.0.113.0/24', '2001:db8::/32'])
        check(result)
        assert.notEqual(result.findings.find((finding) => finding.key === key)?.text, undefined, key)
      }
    })
  })
})
