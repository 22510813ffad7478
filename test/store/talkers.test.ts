// SPDX-License-Identifier: Apache-2.0
//
// Top talkers from sums and from flows are the same answer, to the byte.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { TalkerQueries } from '@flowdam/aggregator/internal/flows/talkers'
import { Turns } from '@flowdam/aggregator/internal/flows/turns'
import { Direction, type TopTalkersRequest } from '@flowdam/proto'
import { SummedHalf } from './summed-half.js'

const HOUR_MS = 3_600_000
const THIS_HOUR = Math.floor(Date.now() / HOUR_MS) * HOUR_MS

describe('top talkers', { timeout: 800_000 }, () => {
  const site = new SummedHalf()
  const ask = (request: Partial<TopTalkersRequest>) =>
    new TalkerQueries(site.store, new Turns()).query({
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
    await site.start()
    for (const at of [-4 * HOUR_MS - 30_000, -3 * HOUR_MS + 600_000, -2 * HOUR_MS, -2 * HOUR_MS + 60_000])
      await site.push(THIS_HOUR + at)
    await site.summed()
  })
  after(() => site.remove())

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
    await site.push(Date.now() - 60_000)
    assert.ok(site.rollups.waitingMinutes > 0)
    // Not from the beginning of an hour, so that there are minutes whatever the time is.
    const { fast } = await agree({ sinceUnixMs: THIS_HOUR - 5 * HOUR_MS + 60_000 })
    assert.ok(fast.tables.includes('flows') && fast.tables.includes('minutes'))
    assert.equal(fast.totalFlows, site.pushed)
  })

  it('trust no sums of a time in which nobody kept them', async () => {
    await site.stop()
    await site.start({ rollups: false })
    await site.push(THIS_HOUR - 2 * HOUR_MS)
    assert.deepEqual((await ask({})).tables, ['flows'])
    await site.stop()
    await site.start()
    const { fast } = await agree({})
    assert.equal(fast.totalFlows, site.pushed)
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
