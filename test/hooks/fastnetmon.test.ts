// SPDX-License-Identifier: Apache-2.0
//
// The way over, as docs/from-fastnetmon.md has it: fastnetmon.conf imported by the command, the two words changed that it
// names, and then FastNetMon's client, its ExaBGP pipe and a router as before.
import assert from 'node:assert/strict'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { command, commandIn } from '@flowdam/scripts/lab/commands'
import { Speaker } from '@flowdam/scripts/lab/gobgp'
import { LabNetwork } from '@flowdam/scripts/lab/network'
import { LabProcess } from '@flowdam/scripts/lab/process'
import { ROOT } from '@flowdam/scripts/lab/root'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { exabgp } from './exabgp.js'

const CLIENT = '/usr/bin/fastnetmon_api_client'
const STOCK = '/etc/fastnetmon.conf'
const skip = [CLIENT, STOCK].every((file) => existsSync(file)) ? false : 'fastnetmon is not installed'
const VICTIM = '203.0.113.10'

describe('from FastNetMon to Flowdam', { skip }, () => {
  const network = new LabNetwork()
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-dropin-'))
  chmodSync(folder, 0o755)
  const file = (...names: string[]) => join(folder, ...names)
  const speaker = exabgp({ namespace: network.namespaces.edge, folder }, 'fifo')
  const router = new Speaker(network, 'router')
  const aggregator = join(ROOT, 'aggregator', 'dist', 'main.js')
  const daemon = new LabProcess({
    name: 'flowdam-aggregator',
    program: process.execPath,
    args: [aggregator, '--config', file('new', 'aggregator.yaml')],
    namespace: network.namespaces.edge,
    logFile: file('aggregator.log'),
    env: { FLOWDAM_LOG: 'info' },
  })
  const client = (...args: string[]) => commandIn(network.namespaces.edge, CLIENT, args)

  before(async () => {
    await network.start()
    await router.start()
    await speaker.start()
    await router.established()
  })
  after(async () => {
    await Promise.allSettled([daemon.stop(), speaker.stop(), router.stop()])
    await network.stop()
    rmSync(folder, { recursive: true })
  })

  it('imports the stock file with ExaBGP switched on, and --check takes the result', async () => {
    writeFileSync(file('networks_list'), '203.0.113.0/24\n')
    writeFileSync(file('networks_whitelist'), '203.0.113.1\n')
    writeFileSync(
      file('fastnetmon.conf'),
      readFileSync(STOCK, 'utf8')
        .replace(/^exabgp = off$/m, 'exabgp = on')
        .replace(/^exabgp_command_pipe = .*$/m, `exabgp_command_pipe = ${file('exabgp.cmd')}`)
        .replace(/^exabgp_next_hop = .*$/m, 'exabgp_next_hop = 192.0.2.114'),
    )
    const flowdam = join(ROOT, 'ctl', 'dist', 'main.js')
    const lists = ['--networks-list', file('networks_list'), '--whitelist', file('networks_whitelist')]
    const args = [file('fastnetmon.conf'), ...lists, '--out', file('new')]
    const said = await command(process.execPath, [flowdam, 'import', 'fastnetmon', ...args])
    assert.match(said, /written to .*: aggregator\.yaml, exabgp-fifo\.conf, import-report\.txt\n$/)
    await command(process.execPath, [aggregator, '--check', '--config', file('new', 'aggregator.yaml')])
  })

  it("after the two changes of the way over, FastNetMon's client blackholes at the router as before", async (t) => {
    const yaml = file('new', 'aggregator.yaml')
    const text = readFileSync(yaml, 'utf8')
      .replace('dry_run: true', 'dry_run: false')
      .replace('# fastnetmon_api:', 'fastnetmon_api:')
    // Where this test may write.
    writeFileSync(
      yaml,
      `${text}state: ${file('data')}\nstore: { engine: embedded, path: ${file('data', 'store')} }\n`,
    )
    appendFileSync(file('new', 'exabgp-fifo.conf'), `EXABGP_FOLDER=${file('data', 'exabgp')}\n`)
    daemon.start()
    await waitFor('the aggregator', () => {
      if (!daemon.running) throw new Error(`it ended: ${daemon.logTail()}`)
      return readFileSync(file('aggregator.log'), 'utf8').includes('aggregator started')
    })
    const startedAt = Date.now()
    assert.equal(await client('ban', VICTIM), '')
    const [route] = await waitFor('the route', async () => {
      const routes = await router.routes()
      return routes.length > 0 ? routes : undefined
    })
    t.diagnostic(
      `fastnetmon_api_client started → route in the router's table: ${Date.now() - startedAt} ms at most`,
    )
    assert.deepEqual(route, {
      prefix: `${VICTIM}/32`,
      nextHop: '192.0.2.114',
      communities: [65001 * 65536 + 666],
    })
    assert.equal(await client('get_banlist'), `${VICTIM}/32\n`)
    // The whitelist came over, too. The client complains on standard error and exits with 0.
    await client('ban', '203.0.113.1')
    assert.equal(await client('get_banlist'), `${VICTIM}/32\n`)
    assert.equal(await client('unban', VICTIM), '')
    await waitFor('the route to go', async () => (await router.routes()).length === 0)
    assert.equal(await client('get_banlist'), '')
  })
})
