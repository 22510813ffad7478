// SPDX-License-Identifier: Apache-2.0
//
// Top talkers from sums and from flows are the same answer, to the byte.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { TalkerQueries } from '@flowdam/aggregator/internal/flows/talkers'
import { Turns } from '@flowdam/aggregator/internal/flows/turns'
import { zStore } from '@flowdam/aggregator/internal/store/config'
import { TestAgent } from '@flowdam/aggregator/internal/testing/agent-client'
import { DataHalf } from '@flowdam/aggregator/internal/testing/data-half'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { Direction, type TopTalkersRequest } from '@flowdam/proto'

const HOUR_MS = 3_600_000
const THIS_HOUR = Math.floor(Date.now() / HOUR_MS) * HOUR_MS

describe('top talkers', { timeout: 800_000 }, () => {
  const path = mkdtempSync(join(tmpdir(), 'flowdam-talkers-'))
  const config = zStore.parse({ engine: 'embedded', path, spool: { segment_age: '50ms' } })
  let half: DataHalf
  let agent: TestAgent
  let seed = 0

  const start = async (changed = config) => {
    half = new DataHalf(changed)
    await half.start()
    agent = agent
      ? agent.moved(half.address)
      : new TestAgent({ address: half.address, agentId: 'edge1', bootId: 1 })
    await agent.connect()
    await half.store.ready()
  }
  const stop = async () => {
    agent.disconnect()
    await half.stop()
  }
  const push = async (epochStartUnixMs: number) => {
    await agent.send(makeRecords(10_000, ++seed, 60_000).records, epochStartUnixMs, { epochMs: 60_000 })
    await agent.drained()
    await half.settled()
  }
  const summed = async () => {
    const { rollups } = half.store
    assert.ok(rollups)
    while (rollups.waitingMinutes + rollups.waitingHours > 0) await sleep(20)
  }
  const ask = (request: Partial<TopTalkersRequest>) =>
    new TalkerQueries(half.store, new Turns()).query({
      sinceUnixMs: THIS_HOUR - 5 * HOUR_MS,
      untilUnixMs: 0,
      of: 'host',
      by: 'bytes',
      direction: Direction.DIRECTION_UNSPECIFIED,
      host: '',
      protocol: 0,
      port: 0,
      agent: '',
      limit: 50,
      raw: false,
      ...request,
    })
  /** From sums and from flows; the answer from sums. */
  const agree = async (request: Partial<TopTalkersRequest>) => {
    const [fast, slow] = [await ask(request), await ask({ ...request, raw: true })]
    assert.deepEqual(slow.tables, ['flows'])
    const answer = ({ talkers, totalFlows, totalPackets, totalBytes }: typeof fast) => ({
      talkers,
      totalFlows,
      totalPackets,
      totalBytes,
    })
    assert.deepEqual(answer(fast), answer(slow))
    assert.ok(fast.talkers.length > 0)
    return { fast, slow }
  }

  before(async () => {
    await start()
    for (const at of [-4 * HOUR_MS - 30_000, -3 * HOUR_MS + 600_000, -2 * HOUR_MS, -2 * HOUR_MS + 60_000])
      await push(THIS_HOUR + at)
    await summed()
  })
  after(async () => {
    await stop()
    rmSync(path, { recursive: true })
  })

  it('by hour, minute and flow are those of the flows, whatever is asked', async () => {
    const since = THIS_HOUR - 4 * HOUR_MS - 20_500
    const until = THIS_HOUR - 2 * HOUR_MS + 90_500
    for (const direction of [0, 1, 2] as Direction[]) {
      for (const by of ['bytes', 'packets', 'flows']) {
        const some = { sinceUnixMs: since, untilUnixMs: until, direction, by }
        const { fast, slow } = await agree({ ...some, of: 'host' })
        assert.deepEqual(fast.tables, ['hours', 'minutes', 'flows'])
        assert.ok(fast.rowsRead > 50_000 && slow.rowsRead >= 2 * 30_000)
        await agree({ ...some, of: 'port' })
        await agree({ ...some, of: 'protocol', port: 443 })
      }
    }
    const { fast } = await agree({ host: '203.0.113.0/24', untilUnixMs: THIS_HOUR })
    assert.deepEqual(fast.tables, ['hours'])
    for (const { address } of fast.talkers) assert.match(address, /^203\.0\.113\.\d+$/)
  })

  it('that sums cannot tell are read from the flows', async () => {
    for (const request of [{ of: 'remote' }, { protocol: 17 }, { agent: 'edge1' }]) {
      const { fast } = await agree(request)
      assert.deepEqual(fast.tables, ['flows'])
    }
    assert.equal((await ask({ agent: 'nobody' })).totalFlows, 0)
  })

  it('take what waits to be summed from the flows', async () => {
    // Up to now: the last minute is summed in 20 s at the earliest.
    await push(Date.now() - 60_000)
    assert.ok((half.store.rollups?.waitingMinutes ?? 0) > 0)
    // Not from the beginning of an hour, so that there are minutes whatever the time is.
    const { fast } = await agree({ sinceUnixMs: THIS_HOUR - 5 * HOUR_MS + 60_000 })
    assert.ok(fast.tables.includes('flows') && fast.tables.includes('minutes'))
    assert.equal(fast.totalFlows, seed * 10_000)
  })

  it('trust no sums of a time in which nobody kept them', async () => {
    await stop()
    await start({ ...config, rollups: false })
    await push(THIS_HOUR - 2 * HOUR_MS)
    assert.deepEqual((await ask({})).tables, ['flows'])
    await stop()
    await start()
    const { fast } = await agree({})
    assert.equal(fast.totalFlows, seed * 10_000)
    assert.deepEqual(fast.tables, ['flows'])
  })

  it('refuse what makes no sense', async () => {
    for (const wrong of [
      { of: 'colour' },
      { by: 'fame' },
      { host: 'x' },
      { port: 70_000 },
      { protocol: 300 },
      { sinceUnixMs: Date.now() + HOUR_MS },
    ])
      await assert.rejects(ask(wrong), { code: 'FD_QUERY_INVALID' })
  })
})
