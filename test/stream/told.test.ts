// SPDX-License-Identifier: Apache-2.0
//
// What the aggregator says (networks, intervals, drop rules) in an agent that starts without it.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { CUSTOMER_NETWORKS } from '@flowdam/scripts/lab/network'
import { Traffic, type TrafficReport } from '@flowdam/scripts/lab/traffic'
import { storedFlows } from '../lab/database.js'
import { Field } from './field.js'

const VICTIM = '203.0.113.10'
const DROPPED = `flowdam_agent_drop_rule_packets{prefix="${VICTIM}/32"}`
const KNOWN = { networks: CUSTOMER_NETWORKS.length, rules: 1, export_interval: 300, detect_interval: 50 }
const ALONE = 'goes on as the aggregator said last'

describe('configuration from the centre', { timeout: 800_000 }, () => {
  const field = new Field()
  const sent: TrafficReport[] = []
  // Its own file would have it export once a minute, knows no networks, and keeps nothing pinned.
  const agent = { keep_attached: false, export_interval: '60s', drop_rules: true }
  const aggregator = {
    agents: { detect_interval: '50ms', export_interval: '300ms' },
    thresholds: { incoming: { pps: 2000 }, window: '500ms' },
    ban: { duration: '10m', levels: { filter: { at: 1, action: 'drop', quiet: '10m' } } },
  }

  const send = async (...args: string[]) => {
    const traffic = new Traffic(field.network, { from: 'internet', args })
    traffic.start()
    const report = await traffic.ended()
    sent.push(report)
    return report
  }
  const flood = () => send('--profile', 'udp-flood', '--victim', VICTIM, '--count', '8000', '--rate', '8000')
  const usual = () => send('--count', '2000', '--flows', '200', '--rate', '2000')
  const epochs = async () => (await field.metrics('agent'))?.get('flowdam_agent_epochs_total') ?? 0

  before(async () => {
    await field.start()
    field.configure('agent', agent)
    field.configure('aggregator', aggregator)
    field.run('aggregator')
    field.run('agent')
    await field.until('a stream', 'agent', (value) => value('flowdam_agent_connected') === 1)
  })
  after(() => field.stop())

  it('the agent counts for the networks, in the intervals, and drops what is banned', async () => {
    await flood()
    await field.until('the drop rule', 'agent', (value) => value(DROPPED) >= 0)
    await flood()
    await field.until('it to drop', 'agent', (value) => value(DROPPED) > 0)
    const before = await epochs()
    await field.until(
      'epochs of 300 ms',
      'agent',
      (value) => value('flowdam_agent_epochs_total') >= before + 5,
    )
  })

  for (const round of ['once', 'twice'])
    it(`the same after a restart without an aggregator, ${round}`, async () => {
      // Nothing is pinned: killed, it would take with it what is younger than a second.
      await field.end('agent', 'SIGTERM')
      await field.end('aggregator', 'SIGKILL')
      const said = field.lines('agent').filter(({ msg }) => msg === ALONE).length
      field.run('agent')
      await field.until('the agent', 'agent', (value) => value('flowdam_agent_epochs_total') >= 1)
      const lines = field.lines('agent').filter(({ msg }) => msg === ALONE)
      assert.equal(lines.length, said + 1)
      const line = lines.at(-1)
      for (const [key, value] of Object.entries(KNOWN)) assert.equal(line?.[key], value, key)
      const { packets } = await flood()
      await field.until('it to drop all of a flood', 'agent', (value) => value(DROPPED) === packets)
      await usual()
      await field.until('protected addresses', 'agent', (value) => value('flowdam_agent_host_entries') > 100)
      const before = await epochs()
      await field.until(
        'epochs of 300 ms',
        'agent',
        (value) => value('flowdam_agent_epochs_total') >= before + 5,
      )
      assert.equal((await field.metrics('agent'))?.get('flowdam_agent_connected'), 0)
    })

  it('an aggregator that comes back says otherwise, and nothing counted meanwhile is lost', async () => {
    field.configure('aggregator', { ...aggregator, agents: {}, ban: { dry_run: true } })
    field.run('aggregator')
    await field.until(
      'a stream without the rule',
      'agent',
      (value) => value('flowdam_agent_connected') === 1 && Number.isNaN(value(DROPPED)),
    )
    await field.end('agent', 'SIGTERM')
    await field.until('the store', 'aggregator', (value) => value('flowdam_store_spool_segments') === 0)
    await field.end('aggregator', 'SIGTERM')
    const stored = [...storedFlows(field.storeFolder, 'ingress').values()]
    for (const what of ['packets', 'bytes'] as const) {
      const sum = (list: readonly { packets: number; bytes: number }[]) =>
        list.reduce((all, one) => all + one[what], 0)
      assert.equal(sum(stored), sum(sent), what)
    }
  })
})
