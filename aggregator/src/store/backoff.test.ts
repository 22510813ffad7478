// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { PAUSE_MS, pauseMs, Restraint } from './backoff.js'

describe('pauses', () => {
  for (const kind of ['retry', 'crowded', 'schema'] as const) {
    const [first, longest] = PAUSE_MS[kind]

    it(`of '${kind}' double from ${first} ms to ${longest} ms, and half of each is chance`, () => {
      fc.assert(
        fc.property(fc.nat(1000), fc.double({ min: 0, max: 1, noNaN: true }), (failures, chance) => {
          const ms = pauseMs(kind, failures, chance)
          const full = Math.min(longest, first * 2 ** failures)
          assert.ok(ms >= full / 2 && ms <= full, `${ms} of ${full}`)
          assert.ok(pauseMs(kind, failures + 1, chance) >= ms)
        }),
      )
      assert.equal(pauseMs(kind, 0, 0), first / 2)
      assert.equal(pauseMs(kind, 99, 1), longest)
      const several = new Set(Array.from({ length: 20 }, () => pauseMs(kind, 3)))
      assert.ok(several.size > 10, 'the pauses of several loaders are not the same')
    })
  }
})

describe('restraint', () => {
  const signal = new AbortController().signal
  const REST_MS = PAUSE_MS.crowded[0]
  let restraint: Restraint
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'] })
    restraint = new Restraint(() => Date.now())
  })
  afterEach(() => mock.timers.reset())

  /** Asks to enter; what it resolves with, once it has. */
  const ask = () => {
    const asked: { leave?: Awaited<ReturnType<Restraint['enter']>> } = {}
    void restraint.enter(signal).then((leave) => {
      asked.leave = leave
    })
    return asked
  }
  const pass = async (ms: number) => {
    await turn()
    mock.timers.tick(ms)
    await turn()
  }

  it('is none as long as inserts are accepted, or fail for other reasons', async () => {
    for (const outcome of ['accepted', 'failed', 'accepted'] as const)
      (await restraint.enter(signal))(outcome)
    const next = ask()
    await pass(0)
    assert.ok(next.leave)
  })

  it('lets nobody in after a refusal, then one at a time, until one is accepted', async () => {
    ;(await restraint.enter(signal))('crowded')
    const waiting = [ask(), ask(), ask()]
    await pass(REST_MS / 2 - 1)
    assert.deepEqual(waiting, [{}, {}, {}])
    await pass(REST_MS)
    const entered = waiting.filter(({ leave }) => leave)
    assert.equal(entered.length, 1)
    entered[0]?.leave?.('accepted')
    await pass(0)
    assert.equal(waiting.filter(({ leave }) => leave).length, 3)
  })

  it('rests longer after each refusal in a row', async () => {
    ;(await restraint.enter(signal))('crowded')
    for (const rest of [REST_MS, 2 * REST_MS, 4 * REST_MS]) {
      const probe = ask()
      await pass(rest / 2 - 1)
      assert.deepEqual(probe, {})
      await pass(rest)
      assert.ok(probe.leave)
      probe.leave('crowded')
    }
  })

  it('takes inserts that were under way together as refused once', async () => {
    const [one, two] = [await restraint.enter(signal), await restraint.enter(signal)]
    one('crowded')
    two('crowded')
    const probe = ask()
    await pass(REST_MS)
    assert.ok(probe.leave)
  })

  it('is not ended by an insert that had begun before the refusal', async () => {
    const [one, two] = [await restraint.enter(signal), await restraint.enter(signal)]
    one('crowded')
    two('accepted')
    const next = ask()
    await pass(REST_MS / 2 - 1)
    assert.equal(next.leave, undefined)
  })

  it('ends at once when the loader stops', async () => {
    const abort = new AbortController()
    ;(await restraint.enter(signal))('crowded')
    const entering = restraint.enter(abort.signal)
    abort.abort()
    await entering
  })
})
