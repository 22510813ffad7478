// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { StoreFailure } from '../store/engine.js'
import { Turns } from './turns.js'

const wanted = new AbortController().signal

describe('turns', () => {
  it('run so many at a time, in order, and refuse those beyond', async () => {
    const turns = new Turns(2, 3)
    const began: number[] = []
    const ends: (() => void)[] = []
    const ask = (id: number) =>
      turns.run(wanted, () => {
        began.push(id)
        return new Promise<number>((resolve) => ends.push(() => resolve(id)))
      })
    const asked = [1, 2, 3, 4, 5].map(ask)
    await assert.rejects(ask(6), { code: 'FD_QUERY_BUSY' })
    assert.deepEqual(began, [1, 2])
    for (let id = 1; id <= 5; id++) {
      ends[id - 1]?.()
      assert.equal(await asked[id - 1], id)
    }
    assert.deepEqual(began, [1, 2, 3, 4, 5])
    const after = ask(7)
    ends[5]?.()
    assert.equal(await after, 7)
  })

  it('leave the place when a query fails, and say what to do', async () => {
    const turns = new Turns(1, 0)
    const tooSlow = () =>
      turns.run(wanted, () => Promise.reject(new StoreFailure('retry', 'timeout exceeded', { code: 159 })))
    await assert.rejects(tooSlow(), { code: 'FD_QUERY_FAILED', remedy: /shorter time/ })
    assert.equal(await turns.run(wanted, async () => 1), 1)
  })

  it('are left by who does not wait any more, for others to wait in its place', async () => {
    const turns = new Turns(1, 1)
    let end = () => {}
    const running = turns.run(wanted, () => new Promise<void>((resolve) => (end = resolve)))
    const gone = new AbortController()
    const never = turns.run(gone.signal, () => Promise.reject(new Error('it had its turn')))
    await assert.rejects(
      turns.run(wanted, async () => 2),
      { code: 'FD_QUERY_BUSY' },
    )
    gone.abort()
    await assert.rejects(never, { code: 'FD_QUERY_FAILED' })
    const next = turns.run(wanted, async () => 3)
    end()
    await running
    assert.equal(await next, 3)
    await assert.rejects(
      turns.run(AbortSignal.abort(), async () => 4),
      { code: 'FD_QUERY_FAILED' },
    )
    assert.equal(await turns.run(wanted, async () => 5), 5)
  })
})
