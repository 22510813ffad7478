// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { TokenBucket } from './token-bucket.js'

describe('token bucket', () => {
  it('never lets more through than rate × time + burst, to whoever waits until it says so', () => {
    const demand = fc.integer({ min: 1, max: 5000 })
    fc.assert(
      fc.property(fc.array(demand, { maxLength: 100 }), (demands) => {
        let now = 0
        let charged = 0
        const bucket = new TokenBucket(1000, 2000, () => now)
        for (const tokens of demands) {
          now += bucket.waitMs(tokens)
          charged += tokens
          bucket.charge(tokens)
          // What one charge takes beyond a full burst is debt, paid before the next.
          assert.ok(charged <= now + 2000 + Math.max(0, tokens - 2000) + 1e-6)
        }
      }),
    )
  })

  it('saves up at most a burst, and pays debts first', () => {
    let now = 0
    const bucket = new TokenBucket(100, 50, () => now)
    now = 1e6
    assert.equal(bucket.tokens, 50)
    bucket.charge(150)
    assert.equal(bucket.tokens, -100)
    assert.equal(bucket.waitMs(0), 1000)
    now += 1000
    assert.equal(bucket.tokens, 0)
    assert.equal(bucket.waitMs(1000), 500, 'never waits for more than it can hold')
  })

  it('takes a new rate from that moment on', () => {
    let now = 0
    const bucket = new TokenBucket(100, 100, () => now)
    bucket.charge(100)
    now = 500
    bucket.setRate(1000, 1000)
    assert.equal(bucket.tokens, 50)
    now = 1000
    assert.equal(bucket.tokens, 550)
  })
})
