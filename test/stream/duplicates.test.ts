// SPDX-License-Identifier: Apache-2.0
//
// When a batch reaches the aggregator a second time. Welcome names the position of the boot that is counting, so an agent
// sends nothing of it that was durable then, and an Ack that the link swallowed does no harm. What is left: a batch that
// had come and was not durable yet at Welcome, and a batch of an earlier boot, whose position no Welcome names.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { newFlowCounters } from '@flowdam/aggregator/internal/contracts'
import { DropCounter } from '@flowdam/aggregator/internal/drops'
import { SPOOL_DEFAULTS } from '@flowdam/aggregator/internal/spool/options'
import { Spool } from '@flowdam/aggregator/internal/spool/spool'
import { TestDisk } from '@flowdam/aggregator/internal/testing/disk'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { DelayProxy } from '@flowdam/scripts/net/delay-proxy'
import { log, Receiver, Sender } from './stand.js'

describe('a batch that comes again is stored once', { timeout: 800_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-duplicates-'))
  let disk: TestDisk
  let flows: ReturnType<typeof newFlowCounters>
  let spool: Spool
  let receiver: Receiver
  let proxy: DelayProxy
  let agent: Sender
  const newAgent = (bootId: number) => {
    agent = new Sender({ targets: [`127.0.0.1:${proxy.port}`], bootId, spool: join(folder, 'agent') })
    agent.start()
  }

  beforeEach(async () => {
    disk = new TestDisk()
    flows = newFlowCounters()
    spool = new Spool({
      ...SPOOL_DEFAULTS,
      directory: mkdtempSync(join(folder, 'spool-')),
      drops: new DropCounter(),
      flows,
      log,
      maxAgeMs: 1e9,
      openFile: disk.openFile,
    })
    await spool.start()
    receiver = new Receiver({ batches: spool })
    await receiver.start()
    proxy = new DelayProxy({ target: { host: '127.0.0.1', port: receiver.port }, oneWayMs: 1 })
    await proxy.start()
    newAgent(5)
    await waitFor('a stream', () => agent.uplink.connected)
  })
  afterEach(async () => {
    await agent.stop()
    await proxy.stop()
    await receiver.stop()
    await spool.stop()
    rmSync(join(folder, 'agent'), { recursive: true, force: true })
  })

  it('when the link is cut while the disk still writes it', async () => {
    const go = disk.stall()
    for (let i = 0; i < 3; i++) agent.push(10)
    await waitFor('the batches to come', () => flows.received === 30)
    proxy.cut()
    await waitFor('the agent to notice', () => !agent.uplink.connected)
    proxy.restore()
    await waitFor('the batches to come again', () => flows.received === 60)
    go()
    await waitFor('all to be acknowledged', () => agent.queue.batches === 0)
    assert.deepEqual(flows, { received: 60, duplicate: 30, spooled: 30, stored: 0 })
  })

  it('when it is durable and its Ack was lost, then not even sent again', async () => {
    const go = disk.stall()
    for (let i = 0; i < 3; i++) agent.push(10)
    await waitFor('the batches to come', () => flows.received === 30)
    proxy.cut()
    go()
    await waitFor('them to be durable', () => spool.lastSeq('edge1', 5) === 3)
    assert.equal(agent.queue.batches, 3)
    proxy.restore()
    await waitFor('all to be acknowledged', () => agent.queue.batches === 0)
    assert.deepEqual(flows, { received: 30, duplicate: 0, spooled: 30, stored: 0 })
  })

  it('when the agent that sent it starts anew without its Ack', async () => {
    const go = disk.stall()
    for (let i = 0; i < 3; i++) agent.push(10)
    await waitFor('the batches to come', () => flows.received === 30)
    proxy.cut()
    await agent.stop()
    go()
    await waitFor('them to be durable', () => spool.lastSeq('edge1', 5) === 3)
    proxy.restore()
    newAgent(6)
    assert.equal(agent.queue.batches, 3)
    await waitFor('all to be acknowledged', () => agent.queue.batches === 0)
    assert.deepEqual(flows, { received: 60, duplicate: 30, spooled: 30, stored: 0 })
  })
})
