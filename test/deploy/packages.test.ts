// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { command } from '@flowdam/scripts/lab/commands'
import { LabNetwork, UPLINK_NAME } from '@flowdam/scripts/lab/network'
import type { LabProcess } from '@flowdam/scripts/lab/process'
import { ROOT } from '@flowdam/scripts/lab/root'
import { Traffic } from '@flowdam/scripts/lab/traffic'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { MachineCopy } from './machine-copy.js'
import { unitProcess } from './unit.js'

const NEXT_VERSION = '99.0.0'
const AGENT_YAML = '/etc/flowdam/agent.yaml'
const AGGREGATOR_YAML = '/etc/flowdam/aggregator.yaml'

describe('the Debian packages, installed on a copy of this machine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-packages-'))
  const network = new LabNetwork()
  const machine = new MachineCopy(network.namespaces.edge)
  const daemons: LabProcess[] = []
  let sent = 0
  /** The version of what is built here. */
  let first = ''

  before(async () => {
    await network.start()
    await machine.start()
    await build()
    first = readdirSync(folder)[0]?.split('_')[1] ?? ''
  })
  after(async () => {
    for (const daemon of daemons.toReversed()) await daemon.stop()
    await machine.stop()
    await network.stop()
    rmSync(folder, { recursive: true })
  })

  async function build(...options: string[]): Promise<void> {
    await command(process.execPath, [join(ROOT, 'scripts', 'package.mjs'), '--out', folder, ...options])
  }

  /** By dpkg, in any order: it sorts them. */
  async function install(version: string, only = ''): Promise<string> {
    const files = readdirSync(folder).filter((name) => name.startsWith(only) && name.includes(`_${version}_`))
    const there = await Promise.all(files.map((name) => machine.bring(join(folder, name))))
    return machine.must('dpkg', '--force-confdef', '--install', ...there)
  }

  async function start(name: string): Promise<LabProcess> {
    const daemon = await unitProcess(machine, name, join(network.folder, `${name}.log`))
    daemons.push(daemon)
    return daemon
  }

  /** Until the aggregator knows of every packet that was sent. */
  async function counted(daemon: LabProcess): Promise<void> {
    await waitFor(`${sent} packets at the aggregator`, async () => {
      if (!daemon.running) throw new Error(`${daemon.name} ended:\n${daemon.logTail()}`)
      const flows = await machine.run(['flowdam', '--json', 'flows', '--since', '1h', '--limit', '10000'])
      if (flows.status !== 0) return undefined
      const rows = (JSON.parse(flows.stdout) as { flows: { packets: number }[] }).flows
      return rows.reduce((sum, { packets }) => sum + Number(packets), 0) === sent
    })
  }

  async function send(): Promise<void> {
    const args = ['--rate', '5000', '--duration', '0.5']
    const traffic = new Traffic(network, { from: 'internet', args })
    traffic.start()
    sent += (await traffic.ended()).packets
  }

  it('install, make their users, and start nothing', async () => {
    const said = await install(first)
    assert.match(said, /flowdam-agent: edit \/etc\/flowdam\/agent\.yaml, then: systemctl enable --now/)
    for (const [file, owner] of [
      [AGENT_YAML, 'root:flowdam-agent 640'],
      [AGGREGATOR_YAML, 'root:flowdam 640'],
      ['/var/lib/flowdam', 'flowdam:flowdam 750'],
      ['/sys/fs/bpf/flowdam', 'flowdam-agent:flowdam-agent 750'],
    ] as const) {
      assert.equal((await machine.must('stat', '-c', '%U:%G %a', file)).trim(), owner, file)
    }
    for (const name of ['flowdam', 'flowdam-agent', 'flowdam-aggregator']) {
      assert.match(await machine.must(name, '--version'), /\d+\.\d+/)
    }
  })

  it('bring valid configurations and units', async () => {
    await machine.must('flowdam-agent', '--config', AGENT_YAML, '--check')
    await machine.must('flowdam-aggregator', '--config', AGGREGATOR_YAML, '--check')
    for (const name of ['flowdam-agent', 'flowdam-aggregator']) {
      const unit = `/lib/systemd/system/${name}.service`
      const { status, stderr } = await machine.run(['systemd-analyze', 'verify', '--man=no', unit])
      assert.deepEqual(
        { status, ours: stderr.split('\n').filter((line) => line.includes('flowdam')) },
        { status: 0, ours: [] },
      )
      // 10 is an unprotected service; 3.0 is "OK" by systemd's own words.
      const threshold = ['--offline=true', '--threshold=30']
      const security = await machine.run(['systemd-analyze', 'security', ...threshold, unit])
      assert.equal(security.status, 0, security.stdout)
    }
  })

  it("count and store every packet, as their users and with the units' three capabilities", async () => {
    await machine.must('sed', '-i', `s/^interfaces:.*/interfaces: [${UPLINK_NAME}]/`, AGENT_YAML)
    await start('flowdam-aggregator')
    const agent = await start('flowdam-agent')
    await agentCounts(agent)
    await send()
    await counted(agent)
    const status = await machine.must('cat', `/proc/${agent.pid}/status`)
    // CAP_NET_ADMIN 12, CAP_PERFMON 38, CAP_BPF 39.
    assert.match(status, /^CapBnd:\t000000c000001000$/m)
    assert.doesNotMatch(status, /^Uid:\t0\b/m)
  })

  async function agentCounts(daemon: LabProcess): Promise<void> {
    await waitFor('the agent to count', async () => {
      if (!daemon.running) throw new Error(`${daemon.name} ended:\n${daemon.logTail()}`)
      const { stdout, status } = await machine.run(['flowdam', '--json', 'agents'])
      return status === 0 && /"attachMode": ?"native"/.test(stdout) && /"connected": ?true/.test(stdout)
    })
  }

  it('an upgrade keeps configuration and state, and not a packet is missed meanwhile', async () => {
    await build('--version', NEXT_VERSION, 'flowdam-common', 'flowdam-agent', 'flowdam-aggregator', 'flowdam')
    // systemd would restart both; the programs in the kernel stay.
    for (const daemon of daemons.splice(0).toReversed()) await daemon.stop()
    await machine.must('dpkg', '--remove', 'flowdam-embedded-store')
    await send()
    await install(NEXT_VERSION)
    assert.match(await machine.must('cat', AGENT_YAML), new RegExp(`^interfaces: \\[${UPLINK_NAME}\\]$`, 'm'))
    assert.match(await machine.must('dpkg', '--status', 'flowdam-agent'), /^Version: 99\.0\.0$/m)
    assert.ok(await machine.exists('/var/lib/flowdam/bans.jsonl'))
  })

  it('is configured again where the configuration was deleted, which dpkg respects', async () => {
    for (const [name, file] of [
      ['flowdam-agent', AGENT_YAML],
      ['flowdam-aggregator', AGGREGATOR_YAML],
    ] as const) {
      await machine.must('mv', file, `${file}.away`)
      await install(NEXT_VERSION, `${name}_`)
      assert.equal(await machine.exists(file), false, file)
      await machine.must('mv', `${file}.away`, file)
    }
  })

  it('says what to install when the embedded store is not there', async () => {
    const aggregator = await start('flowdam-aggregator')
    daemons.pop()
    assert.notEqual((await aggregator.ended()).code, 0)
    assert.match(aggregator.logTail(), /FD_STORE_NOT_INSTALLED.*flowdam-embedded-store/s)
  })

  it('with the store again everything that was sent is there', async () => {
    await install(first, 'flowdam-embedded-store')
    await start('flowdam-aggregator')
    const agent = await start('flowdam-agent')
    await agentCounts(agent)
    await send()
    await counted(agent)
  })

  it('removal takes the programs out of the kernel and keeps configuration and state', async () => {
    for (const daemon of daemons.splice(0).toReversed()) await daemon.stop()
    assert.notEqual(await pins(), '')
    await machine.must(
      'dpkg',
      '--remove',
      'flowdam',
      'flowdam-embedded-store',
      'flowdam-aggregator',
      'flowdam-agent',
      'flowdam-common',
    )
    assert.equal(await pins(), '')
    for (const path of ['/usr/bin/flowdam-agent', '/usr/lib/flowdam', '/usr/bin/flowdam']) {
      assert.equal(await machine.exists(path), false, path)
    }
    for (const path of [AGENT_YAML, AGGREGATOR_YAML, '/var/lib/flowdam/bans.jsonl']) {
      assert.equal(await machine.exists(path), true, path)
    }
  })

  it('a purge leaves nothing', async () => {
    await machine.must('dpkg', '--purge', 'flowdam-aggregator', 'flowdam-agent')
    for (const path of [
      '/etc/flowdam',
      '/var/lib/flowdam',
      '/var/lib/flowdam-agent',
      '/sys/fs/bpf/flowdam',
    ]) {
      assert.equal(await machine.exists(path), false, path)
    }
  })

  async function pins(): Promise<string> {
    return (await machine.must('find', '/sys/fs/bpf/flowdam', '-type', 'f')).trim()
  }
})
