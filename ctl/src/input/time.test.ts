// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseMoment } from './time.js'

describe('parseMoment', () => {
  const now = new Date(2026, 10, 22, 14, 30, 15).getTime()
  const local = (...fields: [number, number, number, number, number, number]) => new Date(...fields).getTime()

  it('takes how long ago', () => {
    assert.equal(parseMoment('5m', now), now - 300_000)
    assert.equal(parseMoment('now', now), now)
  })

  it('takes a clock, of today or yesterday, whichever was last', () => {
    assert.equal(parseMoment('14:30', now), local(2026, 10, 22, 14, 30, 0))
    assert.equal(parseMoment('9:05:07', now), local(2026, 10, 22, 9, 5, 7))
    assert.equal(parseMoment('14:31', now), local(2026, 10, 21, 14, 31, 0))
  })

  it('takes a date, in local time unless it says otherwise', () => {
    assert.equal(parseMoment('2026-11-22', now), local(2026, 10, 22, 0, 0, 0))
    assert.equal(parseMoment('2026-11-22 13:00', now), local(2026, 10, 22, 13, 0, 0))
    assert.equal(parseMoment('2026-11-22T13:00:00Z', now), Date.UTC(2026, 10, 22, 13))
  })

  it('refuses what could mean two things', () => {
    for (const text of ['5', 'yesterday', '25:00', '12:60', '2026-13-01', '']) {
      assert.throws(() => parseMoment(text, now), /is no (moment|clock)/)
    }
  })
})
