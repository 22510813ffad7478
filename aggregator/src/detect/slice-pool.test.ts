// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ENTRY_WORDS } from './slice.js'
import { SlicePool } from './slice-pool.js'

describe('arrays of slices', () => {
  it('are used again, by what needs as much or somewhat less', () => {
    const pool = new SlicePool(1)
    const first = pool.take(100)
    assert.deepEqual(
      [first.words.length, first.rows.length, first.cells.length],
      [100 * ENTRY_WORDS, 100, 100],
    )
    assert.notEqual(pool.take(100).words.buffer, first.words.buffer, 'not while somebody has them')
    pool.giveBack(first)
    assert.notEqual(pool.take(101).words.buffer, first.words.buffer, 'too small')
    assert.notEqual(pool.take(24).words.buffer, first.words.buffer, 'a waste')
    const again = pool.take(30)
    assert.equal(again.words.buffer, first.words.buffer)
    assert.deepEqual([again.words.length, again.rows.length, again.cells.length], [30 * ENTRY_WORDS, 30, 30])
    assert.notEqual(pool.take(30).words.buffer, first.words.buffer, 'to one at a time')
  })

  it('do not gather, and small ones are not kept', () => {
    const pool = new SlicePool(10)
    const small = pool.take(9)
    pool.giveBack(small)
    assert.notEqual(pool.take(9).words.buffer, small.words.buffer)
    const many = Array.from({ length: 100 }, () => pool.take(10))
    for (const each of many) pool.giveBack(each)
    const buffers = new Set(many.map(({ words }) => words.buffer))
    let again = 0
    while (buffers.has(pool.take(10).words.buffer)) again++
    assert.equal(again, 32)
  })
})
