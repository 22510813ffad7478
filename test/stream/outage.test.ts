// SPDX-License-Identifier: Apache-2.0
//
// FLOWDAM_OUTAGE_S=60 makes the outage as long as the one that the project promises to survive.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RECORD_SIZE } from '@flowdam/proto'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { DelayProxy } from '@flowdam/scripts/net/delay-proxy'
import { Receiver, Sender } from './stand.js'

const OUTAGE_S = Number(process.env['FLOWDAM_OUTAGE_S'] ?? 15)
const ROUND_TRIP_MS = 20
/** Ten times a second, as many records as the default export_rate allows. */
const BATCH_RECORDS = 5000
const EVERY_MS = 100
/** What the first host deltas of a new flood say. */
const FLOOD = 1_000_000

describe(`an outage of ${OUTAGE_S} s while flows go on`, { timeout: (OUTAGE_S * 4 + 120) * 1000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-outage-'))
  const receiver = new Receiver()
  let proxy: DelayProxy
  let agent: Sender
  let pushed = 0

  before(async () => {
    await receiver.start()
    proxy = new DelayProxy({
      target: { host: '127.0.0.1', port: receiver.port },
      oneWayMs: ROUND_TRIP_MS / 2,
    })
    await proxy.start()
    agent = new Sender({
      targets: [`127.0.0.1:${proxy.port}`],
      // Far less than the outage brings: most of it goes over the disk.
      memory: 8 << 20,
      spool: join(folder, 'spool'),
      exportRate: 1_000_000,
    })
    agent.start()
    await waitFor('a stream', () => (agent.uplink.connected ? true : undefined))
  })
  after(async () => {
    await agent.stop()
    await proxy.stop()
    await receiver.stop()
    rmSync(folder, { recursive: true })
  })

  /** As much as comes in that time, which a busy machine takes longer for. */
  const flowFor = async (seconds: number) => {
    for (let batches = (seconds * 1000) / EVERY_MS; batches > 0; batches--) {
      agent.push(BATCH_RECORDS)
      pushed++
      agent.deltas.add(1)
      agent.uplink.sendDeltas()
      await sleep(EVERY_MS)
    }
  }

  it('goes to the disk within the bounds of the memory, and nothing is given up', async () => {
    await flowFor(1)
    proxy.cut()
    await flowFor(OUTAGE_S)
    assert.equal(agent.uplink.connected, false)
    assert.ok(agent.queue.bytes <= 8 << 20)
    assert.ok(agent.queue.spoolBytes > OUTAGE_S * 1e6, `${agent.queue.spoolBytes} bytes in the spool`)
    assert.deepEqual(
      Object.values(agent.queue.dropped).filter((count) => count > 0),
      [],
    )
  })

  it('afterwards a new flood is seen before the backlog has arrived', async () => {
    const before = receiver.sink.batches.length
    const backlog = agent.queue.batches
    agent.deltas.add(FLOOD)
    proxy.restore()
    await waitFor('the deltas', () =>
      receiver.sink.deltas.some(({ incoming }) => (incoming?.packets ?? 0) >= FLOOD) ? true : undefined,
    )
    const at = receiver.sink.arrivals.findIndex(
      (one) => one.kind === 'deltas' && (one.deltas.incoming?.packets ?? 0) >= FLOOD,
    )
    const batchesBefore = receiver.sink.arrivals.slice(0, at).filter(({ kind }) => kind === 'batch').length
    assert.ok(
      batchesBefore - before <= 3,
      `${batchesBefore - before} of ${backlog} batches came before the flood's deltas`,
    )
  })

  it('while the backlog is under way host deltas still get through at once', async () => {
    assert.ok(agent.queue.batches > 10, 'the backlog has gone already')
    const latencies: number[] = []
    for (let i = 0; i < 5 && agent.queue.batches > 10; i++) {
      const seen = receiver.sink.deltas.length
      const began = performance.now()
      agent.deltas.add(1)
      agent.uplink.sendDeltas()
      await waitFor('the delta', () => (receiver.sink.deltas.length > seen ? true : undefined), 30_000, 5)
      latencies.push(performance.now() - began)
    }
    const median = latencies.toSorted((a, b) => a - b)[latencies.length >> 1] ?? Number.NaN
    assert.ok(median < 500, `median ${median} ms of ${latencies.length}`)
  })

  it('everything arrives, in order, exactly once, as it was', async () => {
    await waitFor('the backlog', () => (agent.queue.batches === 0 ? true : undefined), (OUTAGE_S + 60) * 1000)
    const { batches, deltas } = receiver.sink
    assert.deepEqual(
      batches.map(({ seq }) => seq),
      Array.from({ length: pushed }, (_, i) => i + 1),
    )
    for (const { seq, records } of batches) {
      assert.equal(records.length, BATCH_RECORDS * RECORD_SIZE)
      assert.ok(records.equals(Buffer.alloc(records.length, seq & 0xff)), `batch ${seq} is not what it was`)
    }
    const packets = deltas.reduce((sum, { incoming }) => sum + (incoming?.packets ?? 0), 0)
    assert.equal(packets, agent.deltas.made)
    await waitFor('the spool to empty', () => (agent.queue.spoolBytes === 0 ? true : undefined))
  })
})
