// SPDX-License-Identifier: Apache-2.0
//
// A path that goes silent without a word, as when a box on the way forgets the connection: nobody gets an error, and
// both sides must find out by themselves.
import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { RECORD_SIZE } from '@flowdam/proto'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { DelayProxy } from '@flowdam/scripts/net/delay-proxy'
import { Receiver, Sender } from './stand.js'

/** What is promised. */
const WITHIN_MS = 10_000
const TICK_MS = 20
const stops: (() => Promise<unknown>)[] = []

async function path(): Promise<{ receiver: Receiver; proxy: DelayProxy; agent: Sender }> {
  const receiver = new Receiver()
  await receiver.start()
  const proxy = new DelayProxy({ target: { host: '127.0.0.1', port: receiver.port }, oneWayMs: 1 })
  await proxy.start()
  const agent = new Sender({ targets: [`127.0.0.1:${proxy.port}`] })
  stops.push(
    () => receiver.stop(),
    () => proxy.stop(),
    () => agent.stop(),
  )
  agent.start()
  await until('a stream', () => agent.uplink.connected)
  return { receiver, proxy, agent }
}

const until = (what: string, holds: () => boolean) => waitFor(what, () => (holds() ? true : undefined))

/** Milliseconds until it holds. */
async function duration(what: string, holds: () => boolean): Promise<number> {
  const began = performance.now()
  await until(what, holds)
  return performance.now() - began
}

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

describe('a path that swallows bytes', { timeout: 800_000 }, () => {
  it('is found by the agent, idle or sending, and by the aggregator, within ten seconds', async (test) => {
    const [idle, sending, gone] = await Promise.all([path(), path(), path()])
    for (const { proxy } of [idle, sending, gone]) proxy.freeze()
    // More than every buffer on the way takes: the probe waits behind it.
    // The queue gives some of it up, with sums that the aggregator checks: the records must be believable.
    const records = Buffer.alloc(16_384 * RECORD_SIZE)
    const timer = setInterval(() => sending.agent.pushRecords(records), 20)
    // This agent cannot come back, so its aggregator cannot learn it from a new stream.
    gone.proxy.retarget(1)
    let stalledMs = 0
    let last = performance.now()
    const clock = setInterval(() => {
      const now = performance.now()
      stalledMs += Math.max(0, now - last - 2 * TICK_MS)
      last = now
    }, TICK_MS)
    const times = await Promise.all([
      duration('the idle agent to notice', () => idle.agent.uplink.stats.disconnects === 1),
      duration('the sending agent to notice', () => sending.agent.uplink.stats.disconnects === 1),
      duration('the aggregator to notice', () => gone.receiver.ingest?.connected === 0),
    ])
    clearInterval(timer)
    clearInterval(clock)
    const rounded = times.map((ms) => Math.round(ms)).join(', ')
    test.diagnostic(
      `idle agent, sending agent, aggregator: ${rounded} ms; this process stood still for ${Math.round(stalledMs)} ms`,
    )
    // What the machine had no time for is not the daemons' delay.
    for (const ms of times) assert.ok(ms < WITHIN_MS + stalledMs, rounded)
    // And the next attempt works, with everything that was under way.
    await until('the agents to be back', () => idle.agent.uplink.connected && sending.agent.uplink.connected)
    await until('all to be there', () => sending.agent.queue.batches === 0)
    const seqs = sending.receiver.sink.batches.map(({ seq }) => seq)
    assert.deepEqual(
      seqs,
      Array.from({ length: seqs.length }, (_, i) => i + 1),
    )
  })
})
