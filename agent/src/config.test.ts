// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { parseCommandLine } from './cli.js'
import { compareConfigs, loadAgentConfig, presentAgentConfig } from './config.js'

const folder = mkdtempSync(join(tmpdir(), 'flowdam-agent-config-'))
after(() => rmSync(folder, { recursive: true }))

function load(text: string) {
  const file = join(folder, 'agent.yaml')
  writeFileSync(file, text)
  return loadAgentConfig(file)
}

describe('agent.yaml', () => {
  it('what --check prints is a valid file and means the same', () => {
    const config = load(
      'id: edge1\ninterfaces: [eth0, { name: eth1, boundary: internal }]\nspool: { path: /s }\nhttp: 127.0.0.1:8081\nexport_interval: 1500ms\n',
    )
    const printed = presentAgentConfig(config)
    assert.match(printed, /^export_interval: 1500ms$/m)
    assert.deepEqual(load(printed), config)
  })

  it('as the documentation shows it', () => {
    const config = load(`
id: edge1
aggregator: 127.0.0.1:50060
interfaces: [eth0, { name: eth1, boundary: internal }]
mode: inline
attach: auto
direction: both
detect_interval: 100ms
export_interval: 5s
export_rate: 50k
flow_slots: 65536
spool: { path: /var/lib/flowdam, max: 1G }
`)
    assert.deepEqual(config.interfaces, [
      { name: 'eth0', boundary: 'external' },
      { name: 'eth1', boundary: 'internal' },
    ])
    assert.deepEqual(
      [config.detect_interval, config.export_interval, config.export_rate],
      [100, 5000, 50_000],
    )
  })

  it('says where it is wrong, and what was meant', () => {
    const complaint = (text: string, message: RegExp) =>
      assert.throws(() => load(text), { code: 'FD_CONFIG_INVALID', message })
    complaint(
      'id: a\ninterfaces: [eth0]\nexprt_rate: 5k\n',
      /agent\.yaml:3:1: exprt_rate: unknown key; did you mean 'export_rate'\?/,
    )
    complaint('id: a b\ninterfaces: [eth0]\n', /:1:1: id: letters, digits/)
    complaint('id: a\ninterfaces: []\n', /interfaces: name at least one interface/)
    complaint('id: a\ninterfaces: [eth0, eth0]\n', /interfaces: an interface is named twice/)
    complaint('id: a\ninterfaces: [eth0]\nflow_slots: 1000\n', /flow_slots: a multiple of 256/)
    complaint('id: a\ninterfaces: [eth0]\nexport_interval: 2m\n', /export_interval: from 100ms to 60s/)
    complaint('id: a\ninterfaces: [eth0]\nnetworks: [203.0.113.5/24]\n', /did you mean 203\.0\.113\.0\/24/)
  })

  it('sends nothing in plaintext to another machine unless the operator insists', () => {
    const far = 'id: a\ninterfaces: [eth0]\naggregator: 192.0.2.1:50060\n'
    assert.throws(() => load(far), { code: 'FD_CONFIG_INVALID', message: /:3:1: aggregator: .*plaintext/ })
    assert.equal(load(`${far}insecure: true\n`).insecure, true)
    assert.ok(load(`${far}tls: { ca: a, cert: b, key: c }\n`).tls)
    assert.throws(() => load('id: a\ninterfaces: [eth0]\nhttp: 0.0.0.0:8081\n'), /:3:1: http: /)
  })

  it('tells what a reload can apply from what needs a restart', () => {
    const old = load('id: a\ninterfaces: [eth0]\n')
    const now = load('id: a\ninterfaces: [eth1]\nexport_rate: 9k\nflow_slots: 256\n')
    assert.deepEqual(compareConfigs(old, now), {
      applied: ['export_rate'],
      restart: ['interfaces', 'flow_slots'],
    })
  })
})

describe('the command line', () => {
  it('runs without a file', () => {
    const invocation = parseCommandLine([
      '--interface',
      'eth0',
      '--interface',
      'eth1:internal',
      '--id',
      'x',
      '--set',
      'export_rate=7k',
    ])
    assert.ok(invocation.action === 'run')
    assert.equal(invocation.config.export_rate, 7000)
    assert.deepEqual(invocation.config.interfaces[1], { name: 'eth1', boundary: 'internal' })
  })

  it('complains about what it does not know', () => {
    assert.throws(() => parseCommandLine([]), { code: 'FD_USAGE' })
    assert.throws(() => parseCommandLine(['--config', 'x', '--id', 'y']), {
      code: 'FD_USAGE',
      message: /--id and --config/,
    })
    assert.throws(() => parseCommandLine(['--interface', 'eth0', '--set', 'x=1']), /x: unknown key/)
    assert.throws(() => parseCommandLine(['--config', '/nonexistent']), { code: 'FD_CONFIG_UNREADABLE' })
  })
})
