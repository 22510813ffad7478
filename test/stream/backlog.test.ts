// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { rateOfNewFlows } from '@flowdam/agent/internal/stream/backlog'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { Receiver, Sender } from './stand.js'

const EXPORT_RATE = 20_000
const PACE = { export_interval: 100, export_rate: EXPORT_RATE }
const OLD_MS = 300
/** Takes 3.5 s. */
const LIMIT_MS = 30_000

describe('a backlog while new flows use all that they may', { timeout: 800_000 }, () => {
  const receiver = new Receiver()
  let agent: Sender
  let asked: number[] = []
  const uplink = {
    isBehind: (ageMs: number) => {
      asked.push(ageMs)
      // Tests have no ten seconds to call a backlog old.
      return agent.uplink.isBehind(OLD_MS)
    },
  }

  before(async () => {
    await receiver.start()
    agent = new Sender({ targets: [`127.0.0.1:${receiver.port}`], exportRate: EXPORT_RATE })
  })
  after(async () => {
    await agent.stop()
    await receiver.stop()
  })

  it('new flows may use all of export_rate without a stream, whatever waits', async () => {
    agent.push(EXPORT_RATE / 10)
    await waitFor('a batch that waited', () => (agent.queue.unsentAgeMs > OLD_MS ? true : undefined))
    assert.equal(rateOfNewFlows(PACE, uplink), EXPORT_RATE)
    assert.equal(rateOfNewFlows(PACE, undefined), EXPORT_RATE)
  })

  it('shrinks until it is no longer old; then new flows have it all again', async () => {
    for (let i = 0; i < 40; i++) agent.push(EXPORT_RATE / 20)
    agent.start()
    await waitFor('an old backlog', () => (agent.uplink.isBehind(OLD_MS) ? true : undefined))
    let last = performance.now()
    const flood = setInterval(() => {
      const now = performance.now()
      agent.push(Math.floor((rateOfNewFlows(PACE, uplink) * (now - last)) / 1000))
      last = now
    }, 20)
    try {
      const gone = () => agent.queue.unsentAgeMs <= OLD_MS && rateOfNewFlows(PACE, uplink) === EXPORT_RATE
      await waitFor('the backlog to go', gone, LIMIT_MS)
    } finally {
      clearInterval(flood)
    }
    assert.ok(asked.every((ageMs) => ageMs >= 10_000))
    asked = []
  })

  it('is old after three intervals where those are long', () => {
    rateOfNewFlows({ ...PACE, export_interval: 60_000 }, uplink)
    assert.deepEqual(asked, [180_000])
  })
})
