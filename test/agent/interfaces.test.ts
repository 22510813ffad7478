// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { commandIn, ipBatch } from '@flowdam/scripts/lab/commands'
import { Traffic } from '@flowdam/scripts/lab/traffic'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { Box, UPLINK_NAME } from './box.js'

const CUSTOMERS_NAME = 'customers'
/** Record's iface byte: the second interface of the configuration, egress. */
const CUSTOMERS_EGRESS = 0x81

async function forwarded(box: Box, device: string): Promise<number> {
  const text = await commandIn(box.network.namespaces.edge, 'cat', [
    `/sys/class/net/${device}/statistics/tx_packets`,
  ])
  return Number(text)
}

describe('a router with an external and an internal interface', () => {
  const box = new Box()
  before(() => box.start())
  after(() => box.stop())

  it('counts a routed packet once in totals and detection, and stores the flows of both sides', async () => {
    const agent = box.agent({ interfaces: [UPLINK_NAME, { name: CUSTOMERS_NAME, boundary: 'internal' }] })
    agent.start()
    await box.counting()
    const before = await forwarded(box, CUSTOMERS_NAME)
    const sent = await box.send('--count', '20000', '--flows', '400', '--rate', '20000')
    await waitFor('the edge to forward all', async () =>
      (await forwarded(box, CUSTOMERS_NAME)) - before >= sent.packets ? true : undefined,
    )
    await agent.stop()
    const got = await box.ingest.report()
    assert.deepEqual([got.incoming.packets, got.incoming.bytes], [sent.packets, sent.bytes])
    assert.equal(got.incoming.flows, sent.flows)
    const hosts = Object.values(got.hosts)
    assert.equal(
      hosts.reduce((sum, host) => sum + host.packets, 0),
      sent.packets,
    )
    assert.equal(got.ledgers[0]?.['seenPackets'], sent.packets)
    assert.equal(got.ledgers[CUSTOMERS_EGRESS]?.['flowPackets'], sent.packets)
    assert.equal(got.records.packets, 2 * sent.packets)
    assert.equal(got.heartbeats[0]?.lawViolations, 0)
  })
})

describe('an agent with a spool whose configuration names its interfaces in another order', () => {
  const box = new Box()
  before(() => box.start())
  after(() => box.stop())

  it('goes on with their indexes, by which records in the spool name them', async () => {
    const spool = { path: join(box.network.folder, 'spool'), max: '4MiB' }
    const customers = { name: CUSTOMERS_NAME, boundary: 'internal' }
    const told: Record<string, number>[] = []
    for (const interfaces of [
      [UPLINK_NAME, customers],
      [customers, UPLINK_NAME],
    ]) {
      const agent = box.agent({ spool, interfaces })
      agent.start()
      const { hellos } = await box.until('Hello', (report) => report.hellos.length > told.length)
      const table = hellos.at(-1)?.interfaces?.interfaces ?? []
      told.push(Object.fromEntries(table.map(({ name, index }) => [name, index])))
      await agent.stop()
    }
    assert.deepEqual(told, [
      { [UPLINK_NAME]: 0, [CUSTOMERS_NAME]: 1 },
      { [UPLINK_NAME]: 0, [CUSTOMERS_NAME]: 1 },
    ])
  })
})

describe('a tap on a mirror port', () => {
  const box = new Box()
  before(() => box.start())
  after(() => box.stop())

  it('counts every packet and lets none into the machine', async () => {
    const agent = box.agent({ mode: 'tap', direction: 'ingress' })
    agent.start()
    await box.counting()
    const before = await forwarded(box, CUSTOMERS_NAME)
    const sent = await box.send('--count', '10000', '--flows', '100', '--rate', '20000')
    await agent.stop()
    const got = await box.ingest.report()
    assert.deepEqual([got.records.packets, got.records.bytes], [sent.packets, sent.bytes])
    assert.equal((await forwarded(box, CUSTOMERS_NAME)) - before, 0)
  })
})

describe('a card that loses packets', () => {
  const box = new Box()
  before(() => box.start())
  after(() => box.stop())

  it('has its own counters in the metrics', async () => {
    const http = '127.0.0.1:8198'
    const agent = box.agent({ http })
    agent.start()
    await box.counting()
    // The other end takes no frame as large as these.
    await ipBatch(box.network.namespaces.internet, ['link set edge mtu 68'])
    const traffic = new Traffic(box.network, {
      from: 'customer',
      args: ['--count', '1000', '--flows', '10', '--rate', '20000', '--size', '500'],
    })
    traffic.start()
    await traffic.ended()
    const { edge } = box.network.namespaces
    const fetching = `fetch('http://${http}/metrics').then((r) => r.text()).then((t) => process.stdout.write(t))`
    const dropped = await waitFor('the drops in the metrics', async () => {
      const text = await commandIn(edge, process.execPath, ['-e', fetching])
      const line = /nic_drops_total\{iface="uplink",counter="tx_dropped"\} (\d+)/.exec(text)
      return Number(line?.[1]) || undefined
    })
    const statistics = `/sys/class/net/${UPLINK_NAME}/statistics/tx_dropped`
    assert.ok(dropped <= Number(await commandIn(edge, 'cat', [statistics])))
    await agent.stop()
  })
})
