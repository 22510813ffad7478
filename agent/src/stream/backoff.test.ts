// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Backoff } from './backoff.js'

describe('back-off', () => {
  it('grows to ten seconds, is spread, and starts anew after a success', () => {
    const longest = new Backoff(() => 1)
    const shortest = new Backoff(() => 0)
    const first = longest.next()
    assert.equal(first, 200)
    assert.equal(shortest.next(), 100)
    let last = 0
    for (let i = 0; i < 20; i++) last = longest.next()
    assert.equal(last, 10_000)
    longest.reset()
    assert.equal(longest.next(), first)
  })
})
