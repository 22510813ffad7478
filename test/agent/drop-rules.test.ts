// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { commandIn } from '@flowdam/scripts/lab/commands'
import { waitFor } from '@flowdam/scripts/lab/wait'
import type { Box } from './box.js'
import { PinBox } from './pin-box.js'

const METRICS = '127.0.0.1:8199'
const CUSTOMERS = 'customers'

async function metrics(box: Box): Promise<string> {
  const fetching = `fetch('http://${METRICS}/metrics').then((r) => r.text()).then((t) => process.stdout.write(t))`
  return await commandIn(box.network.namespaces.edge, process.execPath, ['-e', fetching])
}

function droppedBy(text: string, prefix: string): number {
  const line = text
    .split('\n')
    .find((one) => one.startsWith(`flowdam_agent_drop_rule_packets{prefix="${prefix}"}`))
  return Number(line?.split(' ').at(-1) ?? Number.NaN)
}

async function forwarded(box: Box): Promise<number> {
  const path = `/sys/class/net/${CUSTOMERS}/statistics/tx_packets`
  return Number(await commandIn(box.network.namespaces.edge, 'cat', [path]))
}

const flood = (victim: string, count: number) => [
  ...['--profile', 'udp-flood', '--victim', victim],
  ...['--count', String(count), '--rate', '20000'],
]

describe('drop rules', () => {
  const box = new PinBox()
  before(() => box.start())
  after(() => box.stop())

  it('drop in the kernel what they name and nothing else, counted by rule and marked in the flow records', async () => {
    const agent = box.keeper({ drop_rules: true, http: METRICS })
    agent.start()
    await box.counting()
    await box.ingest.rules([
      { id: 'a', prefix: '203.0.113.10', ttlS: 600 },
      { id: 'b', prefix: '203.0.113.64/28', ttlS: 600 },
      { id: 'c', prefix: '2001:db8:1::/64', ttlS: 600 },
      { id: 'd', prefix: '198.51.100.0/24', ttlS: 600 },
      { id: 'e', prefix: '203.0.113.99', ttlS: 0 },
      { id: 'f', prefix: 'nonsense', ttlS: 600 },
    ])
    await waitFor('the rules', () => (/drop rules refused/.test(agent.logTail()) ? true : undefined))
    assert.match(agent.logTail(), /"prefix":"198.51.100.0\/24","reason":"outside_networks"/)
    const before = await forwarded(box)
    const exact = await box.send(...flood('203.0.113.10', 3000))
    const prefix = await box.send(...flood('203.0.113.70', 2000))
    const spared = await box.send(...flood('203.0.113.80', 1000))
    await waitFor('the spared to be forwarded', async () =>
      (await forwarded(box)) - before >= spared.packets ? true : undefined,
    )
    assert.equal((await forwarded(box)) - before, spared.packets)
    const text = await metrics(box)
    assert.equal(droppedBy(text, '203.0.113.10/32'), exact.packets)
    assert.equal(droppedBy(text, '203.0.113.64/28'), prefix.packets)
    assert.equal(droppedBy(text, '2001:db8:1::/64'), 0)
    for (const reason of ['outside_networks', 'no_ttl', 'prefix_invalid']) {
      assert.match(text, new RegExp(`drop_rules_refused_total\\{reason="${reason}"\\} 1`))
    }
    const sum = exact.packets + prefix.packets
    const got = await box.until('the records', ({ records }) => records.packets === sum + spared.packets)
    assert.equal(got.dropped.packets, sum)
    assert.equal(got.ledgers[0]?.['droppedPackets'], sum)
    await agent.stop('SIGKILL')
  })

  it('outlive the agent, keep their counts when another takes over, and go when they are not wanted', async () => {
    const before = await forwarded(box)
    const dead = await box.send(...flood('203.0.113.10', 1000))
    assert.equal((await forwarded(box)) - before, 0)
    const agent = box.keeper({ drop_rules: true, http: METRICS })
    agent.start()
    const text = await waitFor('its metrics', () => metrics(box).catch(() => undefined))
    assert.equal(droppedBy(text, '203.0.113.10/32'), 3000 + dead.packets)
    await box.counting()
    await box.ingest.rules([{ id: 'z', prefix: '203.0.113.0/24', ttlS: 600 }])
    await waitFor('the rules', () => (/replaced/.test(agent.logTail()) ? true : undefined))
    const all = await box.send(...flood('203.0.113.70', 500))
    assert.deepEqual([droppedBy(await metrics(box), '203.0.113.0/24')], [all.packets])
    assert.ok(Number.isNaN(droppedBy(await metrics(box), '203.0.113.10/32')))
    const replacements = () => (agent.logTail(1000).match(/drop rules replaced/g) ?? []).length
    const replaced = replacements()
    await box.ingest.rules([{ id: 'z', prefix: '203.0.113.0/24', ttlS: 2 }])
    await waitFor('its end to be near', () => replacements() > replaced)
    await agent.stop('SIGKILL')
  })

  it('end in time though the agent is dead', async () => {
    await waitFor('the end of the rule', async () => {
      const before = await forwarded(box)
      const sent = await box.send(...flood('203.0.113.70', 200))
      return (await forwarded(box)) - before === sent.packets ? true : undefined
    })
  })
})
