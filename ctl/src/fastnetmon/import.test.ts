// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { runInProcess } from '../testing/run-command.js'
import type { Verdict } from './finding.js'
import { importFastNetMon } from './import.js'

const folder = mkdtempSync(join(tmpdir(), 'flowdam-import-'))
after(() => rmSync(folder, { recursive: true }))

const file = join(folder, 'fastnetmon.conf')
const networksFile = join(folder, 'networks_list')
const whitelistFile = join(folder, 'networks_whitelist')
const script = join(folder, 'notify.sh')
writeFileSync(script, '#!/bin/sh\n', { mode: 0o755 })
for (const name of ['gobgp', 'exabgp-fifo']) writeFileSync(join(folder, name), '#!/bin/sh\n', { mode: 0o755 })

const NETWORKS = '203.0.113.0/24\n203.0.113.64/28\n2001:db8::/32\n'

function write(conf: string, networks = NETWORKS, whitelist = ''): void {
  writeFileSync(file, conf)
  writeFileSync(networksFile, networks)
  writeFileSync(whitelistFile, whitelist)
}

function imported(conf: string, networks = NETWORKS, whitelist = '') {
  write(
    `networks_list_path = ${networksFile}\nwhite_list_path = ${whitelistFile}\n${conf}`,
    networks,
    whitelist,
  )
  const { files, findings } = importFastNetMon({ file, folder, hooksFolder: folder })
  return {
    files,
    findings,
    yaml: files.get('aggregator.yaml') ?? '',
    verdict: (key: string): Verdict | undefined => findings.find((finding) => finding.key === key)?.verdict,
    text: (key: string) => findings.find((finding) => finding.key === key)?.text ?? '',
  }
}

function refusal(conf: string, networks = NETWORKS, whitelist = ''): string {
  try {
    imported(conf, networks, whitelist)
  } catch (error) {
    return error instanceof Error ? error.message : ''
  }
  return assert.fail('it was taken')
}

const BANNING = 'enable_ban = on\nenable_ban_ipv6 = on\n'

describe('flowdam import fastnetmon', () => {
  it('takes the thresholds that are switched on, for both directions', () => {
    const { yaml, verdict } = imported(`${BANNING}ban_for_pps = on
threshold_pps = 20000
ban_for_bandwidth = on
threshold_mbps = 1000
ban_for_udp_bandwidth = on
threshold_udp_mbps = 300
ban_for_flows = off
threshold_flows = 3500
`)
    for (const direction of ['incoming', 'outgoing']) {
      assert.match(
        yaml,
        new RegExp(`^  ${direction}: { pps: 20000, bps: 1000000000, udp_bps: 300000000 }$`, 'm'),
      )
    }
    assert.deepEqual(
      ['threshold_pps', 'ban_for_udp_bandwidth', 'threshold_flows', 'ban_for_flows'].map(verdict),
      ['translated', 'translated', 'irrelevant', 'irrelevant'],
    )
  })

  it('leaves out a direction that is not looked at', () => {
    const { yaml } = imported(
      `${BANNING}process_outgoing_traffic = off\nban_for_pps = on\nthreshold_pps = 5\n`,
    )
    assert.match(yaml, /^ {2}incoming: { pps: 5 }$/m)
    assert.doesNotMatch(yaml, /outgoing/)
  })

  it('a threshold of 0 that is on would ban everybody: reported, not taken', () => {
    const { yaml, verdict, text } = imported(`${BANNING}ban_for_pps = on\nthreshold_pps = 0\n`)
    assert.doesNotMatch(yaml, /pps/)
    assert.deepEqual([verdict('ban_for_pps'), verdict('threshold_pps')], ['missing', 'missing'])
    assert.match(text('threshold_pps'), /ban every address at its first packet/)
  })

  it('gives a hostgroup what it says itself and nothing else', () => {
    const { yaml, verdict } = imported(`${BANNING}ban_for_pps = on
threshold_pps = 20000
hostgroup = web:203.0.113.64/28
web_enable_ban = on
web_ban_for_flows = on
web_threshold_flows = 100
web_ban_for_pps = off
`)
    assert.match(
      yaml,
      /name: "web"\n {4}prefixes: \["203\.0\.113\.64\/28"\]\n {4}incoming: { pps: off, flows: 100 }/,
    )
    assert.deepEqual(
      ['hostgroup', 'web_enable_ban', 'web_threshold_flows'].map(verdict),
      Array(3).fill('translated'),
    )
  })

  it('says of a hostgroup what FastNetMon would not have done', () => {
    const { text } = imported(`hostgroup = web:203.0.113.128/28,198.51.100.0/24\n`)
    assert.match(
      text('hostgroup'),
      /takes no notice of 203\.0\.113\.128\/28, since networks_list has no such line/,
    )
    assert.match(text('hostgroup'), /198\.51\.100\.0\/24 is outside networks_list and left out/)
  })

  it('bans one family only where enable_ban and enable_ban_ipv6 differ', () => {
    const { yaml } = imported('enable_ban = on\nban_for_pps = on\nthreshold_pps = 9\n')
    assert.match(yaml, /enabled: true/)
    assert.match(yaml, /name: "ipv6"\n {4}prefixes: \["2001:db8::\/32"\]\n {4}incoming: { pps: off }/)
    assert.match(imported('ban_for_pps = on\nthreshold_pps = 9\n').yaml, /enabled: false/)
  })

  it('makes a hook of the notify script, and a comment of one that is not there', () => {
    const there = imported(`notify_script_path = ${script}\n`)
    assert.ok(
      there.yaml.includes(
        `\nhooks:\n  - { name: "notify", run: ["${script}"], format: fastnetmon, timeout: 30s, retry_every: off }\n`,
      ),
    )
    assert.equal(there.verdict('notify_script_path'), 'translated')
    const gone = imported('notify_script_path = /nowhere/notify.sh\n')
    assert.match(gone.yaml, /^hooks: \[\]\n# \/nowhere\/notify\.sh does not exist here/m)
    assert.match(gone.text('notify_script_path'), /does not exist here/)
  })

  it("writes ExaBGP's pipe, next hop and communities into the hook's settings", () => {
    const { files, yaml } = imported(`exabgp = on
exabgp_command_pipe = /var/run/exabgp.cmd
exabgp_community = [65001:666 65001:777]
exabgp_next_hop = 192.0.2.114
exabgp_announce_host = on
`)
    const settings = files.get('exabgp-fifo.conf') ?? ''
    assert.match(
      settings,
      /^EXABGP_FIFO=\/var\/run\/exabgp\.cmd\nFAMILIES=4\nNEXT_HOP_4=192\.0\.2\.114\nCOMMUNITIES=65001:666,65001:777\n$/m,
    )
    assert.ok(yaml.includes(`run: ["${folder}/exabgp-fifo", "--config", "${folder}/exabgp-fifo.conf"]`))
  })

  it('makes a GoBGP hook for each family that announces hosts, and reports whole subnets', () => {
    const { files, verdict } = imported(`gobgp = on
gobgp_next_hop = 0.0.0.0
gobgp_announce_host = on
gobgp_announce_whole_subnet = on
gobgp_community_host = 65001:666
gobgp_announce_host_ipv6 = on
gobgp_community_host_ipv6 = 65001:777
`)
    assert.match(
      files.get('gobgp-ipv4.conf') ?? '',
      /FAMILIES=4\nNEXT_HOP_4=0\.0\.0\.0\nCOMMUNITIES=65001:666\n/,
    )
    assert.match(files.get('gobgp-ipv6.conf') ?? '', /FAMILIES=6\nNEXT_HOP_6=100::1\nCOMMUNITIES=65001:777\n/)
    assert.equal(verdict('gobgp_announce_whole_subnet'), 'missing')
  })

  it('writes an agent.yaml where FastNetMon captured on interfaces', () => {
    const conf = 'interfaces = eth3, eth4\nmirror_afpacket = '
    assert.match(imported(`${conf}on\n`).files.get('agent.yaml') ?? '', /^interfaces: \["eth3", "eth4"\]$/m)
    assert.equal(imported(`${conf}off\n`).files.has('agent.yaml'), false)
  })

  it('turns times and the unban settings over', () => {
    const { yaml, verdict } = imported(
      'ban_time = 60\naverage_calculation_time = 3\nunban_only_if_attack_finished = off\n',
    )
    assert.match(yaml, /^ {2}duration: 60s\n {2}max_duration: 14400s$/m)
    assert.match(yaml, /^ {2}window: 3000ms$/m)
    assert.equal(verdict('unban_only_if_attack_finished'), 'missing')
    const forever = imported('ban_time = 0\n')
    assert.match(forever.yaml, /^ {2}duration: 31536000s\n {2}max_duration: 31536000s$/m)
    assert.equal(forever.verdict('ban_time'), 'changed')
  })

  it('reads the whitelist as FastNetMon does, and more', () => {
    const { yaml, verdict } = imported('', NETWORKS, '203.0.113.7\n2001:db8::1/128\n198.51.100.0/24\n')
    assert.match(yaml, /^exempt:\n {2}- "203\.0\.113\.7\/32"\n {2}- "2001:db8::1\/128"$/m)
    assert.deepEqual(['203.0.113.7', '2001:db8::1/128', '198.51.100.0/24'].map(verdict), [
      'translated',
      'changed',
      'irrelevant',
    ])
  })

  it('masks host bits of a network, as FastNetMon does, and leaves out what has no length', () => {
    const { yaml, verdict } = imported('', '203.0.113.9/24\n203.0.114.7\n')
    assert.match(yaml, /^networks:\n {2}- "203\.0\.113\.0\/24"\nexempt/m)
    assert.equal(verdict('203.0.114.7'), 'ignored')
  })

  it('says of every line what became of it: unknown, twice, unreadable, switched on', () => {
    const { findings, verdict, text } = imported(`threshold_pp = 5
redis_enabled = yes
redis_host = 127.0.0.1
netflow = on
influxdb_password = hunter2
this is no setting
a = b = c
ban_time = 5
ban_time = 6
ban_for_tcp_pps = yes
`)
    assert.match(text('threshold_pp'), /knows no such key; did you mean threshold_pps\?/)
    assert.deepEqual(['threshold_pp', 'redis_enabled', 'netflow'].map(verdict), Array(3).fill('missing'))
    assert.deepEqual(
      ['this is no setting', 'a = b = c', 'ban_for_tcp_pps'].map(verdict),
      Array(3).fill('ignored'),
    )
    assert.match(text('ban_time'), /line 11 says it again/)
    assert.ok(!JSON.stringify(findings).includes('hunter2'))
    const lines = findings.filter((finding) => finding.file === file).map(({ line }) => line)
    assert.deepEqual(
      lines,
      Array.from({ length: 12 }, (_, index) => index + 1),
    )
  })

  it('names file and line of what cannot be meant so, all of it at once', () => {
    const message = refusal(
      `threshold_pps = many\nexabgp = on\nexabgp_command_pipe = /p\nexabgp_next_hop = 2001:db8::1\nexabgp_community = 65536:1\nexabgp_announce_host = on\nhostgroup = web:203.0.113.300/32\nban_time = -1\n`,
      `203.0.113.0/24\n203.0.113.0/33\n`,
      'nobody\n',
    )
    assert.deepEqual(message.split('\n').sort(), [
      `${file}:10: ban_time: '-1' is no whole number below 2^32`,
      `${file}:3: threshold_pps: 'many' is no whole number below 2^32`,
      `${file}:6: exabgp_next_hop: '2001:db8::1' is no IPv4 address`,
      `${file}:7: exabgp_community: '65536:1' is no community such as 65001:666`,
      `${file}:9: hostgroup: '203.0.113.300/32' is no prefix such as 203.0.113.0/28`,
      `${networksFile}:2: '203.0.113.0/33' is no prefix such as 203.0.113.0/24 or 2001:db8::/32`,
      `${whitelistFile}:1: 'nobody' is no prefix such as 203.0.113.0/24 or 2001:db8::/32`,
    ])
  })

  it('refuses an empty networks_list', () => {
    assert.match(refusal('', '\n'), /names no network/)
  })

  it('prints everything, or writes it where nothing is yet', async () => {
    write('enable_ban = on\n')
    const args = ['import', 'fastnetmon', file, '--networks-list', networksFile, '--hooks', folder]
    const printed = await runInProcess(args)
    assert.deepEqual([printed.status, printed.stderr], [0, ''])
    assert.match(printed.stdout, /^the same here \(\d+\)$/m)
    assert.match(printed.stdout, /^# ---- aggregator\.yaml ----$/m)
    const out = join(folder, 'out')
    const written = await runInProcess([...args, '--out', out])
    assert.match(written.stdout, /written to .*: aggregator\.yaml, import-report\.txt\n$/)
    assert.ok(existsSync(join(out, 'aggregator.yaml')))
    assert.match(readFileSync(join(out, 'import-report.txt'), 'utf8'), /enable_ban = on/)
    const again = await runInProcess([...args, '--out', out])
    assert.equal(again.status, 1)
    assert.match(again.stderr, /FD_IMPORT_EXISTS/)
    assert.equal((await runInProcess([...args, '--out', out, '--force'])).status, 0)
    const json = await runInProcess(['--json', ...args])
    assert.deepEqual(Object.keys(JSON.parse(json.stdout) as object), ['files', 'findings'])
  })
})
