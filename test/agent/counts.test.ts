// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Traffic } from '@flowdam/scripts/lab/traffic'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { Box, COUNTING, NOTHING, UPLINK_NAME } from './box.js'

describe('the agent on a veth in native mode', () => {
  const box = new Box()
  before(() => box.start())
  after(() => box.stop())

  it('ships every packet and byte, per flow, and leaves nothing behind at SIGTERM', async () => {
    const agent = box.agent()
    agent.start()
    await box.counting()
    assert.deepEqual(await box.attached(), COUNTING)

    const before = (await box.uplink()).rx
    const traffic = new Traffic(box.network, {
      from: 'internet',
      args: ['--count', '150000', '--flows', '5000', '--rate', '60000', '--vlan', '7:20'],
      perFlow: true,
    })
    traffic.start()
    const sent = await traffic.ended()
    await box.received(before + sent.packets)
    const { code } = (await agent.stop()) ?? {}
    assert.equal(code, 0, agent.logTail())
    const got = await box.ingest.report()

    const expected = [...traffic.flows()].map(([key, { packets, bytes }]) => [key, { packets, bytes }])
    assert.deepEqual(
      new Map(Object.entries(got.flows).sort()),
      new Map(
        (expected as [string, { packets: number; bytes: number }][]).sort(([a], [b]) => (a < b ? -1 : 1)),
      ),
    )
    const ledger = got.ledgers[0] ?? {}
    assert.equal(ledger['seenPackets'], sent.packets)
    assert.equal(ledger['seenBytes'], sent.bytes)
    assert.deepEqual([got.incoming.packets, got.incoming.bytes], [sent.packets, sent.bytes])
    assert.deepEqual([got.outgoing.packets, got.outgoing.bytes], [0, 0])
    assert.equal(got.incoming.flows, sent.flows, 'a flow that lasts several epochs is one flow')
    const hosts = Object.entries(got.hosts)
    assert.ok(hosts.every(([key]) => key.endsWith(' in')))
    assert.equal(
      hosts.reduce((sum, [, host]) => sum + host.packets, 0),
      sent.packets,
    )
    assert.equal(
      hosts.reduce((sum, [, host]) => sum + host.bytes, 0),
      sent.bytes,
    )
    assert.equal(got.heartbeats[0]?.lawViolations, 0)
    assert.deepEqual(
      got.batches,
      [...got.batches.keys()].map((index) => index + 1),
    )
    assert.equal(got.duplicates, 0)
    assert.equal(got.hellos[0]?.interfaces?.interfaces[0]?.name, UPLINK_NAME)

    assert.deepEqual(await box.attached(), NOTHING)
  })
})

describe('the agent with traffic in both directions', () => {
  const box = new Box()
  before(() => box.start())
  after(() => box.stop())

  it('counts what leaves, once, as outgoing', async () => {
    const agent = box.agent()
    agent.start()
    await box.counting()
    const before = (await box.uplink()).tx
    const out = new Traffic(box.network, {
      from: 'customer',
      args: ['--count', '20000', '--flows', '300', '--rate', '20000'],
    })
    out.start()
    const came = await box.send('--count', '20000', '--flows', '300', '--rate', '20000')
    const went = await out.ended()
    // Sent by the customer is not yet forwarded by the edge.
    await waitFor('all to leave', async () =>
      (await box.uplink()).tx === before + went.packets ? true : undefined,
    )
    await agent.stop()
    const got = await box.ingest.report()
    assert.deepEqual([got.incoming.packets, got.incoming.bytes], [came.packets, came.bytes])
    assert.deepEqual([got.outgoing.packets, got.outgoing.bytes], [went.packets, went.bytes])
    assert.equal(got.ledgers[0x80]?.['seenPackets'], went.packets)
    const outgoing = Object.entries(got.hosts).filter(([key]) => key.endsWith(' out'))
    assert.equal(
      outgoing.reduce((sum, [, host]) => sum + host.packets, 0),
      went.packets,
    )
    assert.equal(got.heartbeats[0]?.lawViolations, 0)
  })
})

describe('the agent while a flood fills its log', () => {
  const box = new Box()
  before(() => box.start())
  after(() => box.stop())

  it('keeps totals and the victim exact though most flows are not told apart', async () => {
    const agent = box.agent({ flow_slots: 1024, export_rate: 2000, export_interval: '1s' })
    agent.start()
    await box.counting()
    const sent = await box.send(
      '--profile',
      'spoofed-flood',
      '--flows',
      '50000',
      '--count',
      '100000',
      '--rate',
      '50000',
    )
    await agent.stop()
    const got = await box.ingest.report()
    assert.equal(got.records.packets + got.overflow.packets, sent.packets)
    assert.equal(got.records.bytes + got.overflow.bytes, sent.bytes)
    assert.ok(got.overflow.packets > sent.packets / 2, `only ${got.overflow.packets} packets in overflow`)
    assert.equal(got.hosts['203.0.113.10 in']?.packets, sent.packets)
    assert.equal(got.hosts['203.0.113.10 in']?.bytes, sent.bytes)
    assert.deepEqual([got.incoming.packets, got.incoming.bytes], [sent.packets, sent.bytes])
    assert.equal(got.heartbeats[0]?.lawViolations, 0)
    // Budget: one interval's worth saved up, and what comes in while it runs; the last drain is on top.
    const seconds = sent.elapsed_s + 3
    const most = 2000 * seconds + 2 * 2 * 1024 + 2 * 1024
    assert.ok(got.records.flows <= most, `${got.records.flows} records in ${seconds} s, ${most} at most`)
  })

  it('flips early as long as the budget allows', async () => {
    const agent = box.agent({ id: 'edge2', flow_slots: 16384, export_rate: '1M', export_interval: '30s' })
    agent.start()
    const start = await box.until('the second agent', ({ hellos }) =>
      hellos.some(({ agentId }) => agentId === 'edge2'),
    )
    const sent = await box.send(
      '--profile',
      'spoofed-flood',
      '--flows',
      '40000',
      '--count',
      '40000',
      // Half a log takes 0.8 s at least: as long may an agent wait for a core.
      '--rate',
      '10000',
    )
    await agent.stop()
    const got = await box.ingest.report()
    const detailed = got.records.packets - start.records.packets
    const overflow = got.overflow.packets - start.overflow.packets
    assert.equal(detailed + overflow, sent.packets)
    // One epoch has room for 16 384 flows a CPU; how many it takes depends on where the scheduler lets packets go.
    assert.ok(overflow < sent.packets / 100, `${overflow} packets went to overflow`)
  })
})
