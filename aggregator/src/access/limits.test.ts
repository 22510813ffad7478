// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CallLimits } from './limits.js'

describe('CallLimits', () => {
  it('lets through at most burst + rate × time, and waiting as long as it says is enough', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 200 }),
        (callsPerSecond, burst, pausesMs) => {
          let now = 0
          const limits = new CallLimits({ callsPerSecond, burst, open: 1 }, () => now)
          let begun = 0
          for (const pause of pausesMs) {
            now += pause
            const waitMs = limits.begin('a')
            if (waitMs === 0) begun++
            else {
              now += waitMs
              assert.equal(limits.begin('a'), 0)
              begun++
            }
            assert.ok(begun <= burst + (now / 1000) * callsPerSecond + 1e-6)
          }
        },
      ),
    )
  })

  it('remembers ten thousand callers at most, and never forgets what is open', () => {
    const limits = new CallLimits({ callsPerSecond: 1, burst: 1, open: 1 })
    assert.ok(limits.open('watcher'))
    for (let i = 0; i < 30_000; i++) limits.begin(`peer ${i}`)
    assert.ok(!limits.open('watcher'))
    limits.close('watcher')
    assert.ok(limits.open('watcher'))
  })
})
