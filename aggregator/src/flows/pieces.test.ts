// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { answerable, piecesOf } from './pieces.js'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const START = Date.UTC(2026, 10, 21, 22)

describe('a time cut into sums and flows', () => {
  it('is all of the time, once, and never what is not summed', () => {
    fc.assert(
      fc.property(
        fc.nat(6 * HOUR_MS),
        fc.integer({ min: 1, max: 8 * HOUR_MS }),
        fc.uniqueArray(fc.nat(14 * 60), { maxLength: 20 }),
        fc.uniqueArray(fc.nat(14), { maxLength: 4 }),
        (offset, length, dirtyMinutes, dirtyHours) => {
          const [from, to] = [START + offset, START + offset + length]
          const minutes = new Set(dirtyMinutes.map((minute) => START / MINUTE_MS + minute))
          const hours = new Set(dirtyHours.map((hour) => START / HOUR_MS + hour))
          for (const minute of minutes) hours.add(Math.floor(minute / 60))
          const summed = {
            minute: (minute: number) => !minutes.has(minute),
            hour: (hour: number) => !hours.has(hour),
          }
          const pieces = piecesOf(from, to, summed)
          let at = from
          for (const piece of pieces) {
            assert.equal(piece.fromMs, at)
            assert.ok(piece.toMs > at)
            at = piece.toMs
            if (piece.from === 'flows') continue
            const unit = piece.from === 'hours' ? HOUR_MS : MINUTE_MS
            assert.equal(piece.fromMs % unit, 0)
            assert.equal(piece.toMs % unit, 0)
            for (let each = piece.fromMs; each < piece.toMs; each += unit)
              assert.ok(
                piece.from === 'hours' ? summed.hour(each / HOUR_MS) : summed.minute(each / MINUTE_MS),
              )
          }
          assert.equal(at, to)
        },
      ),
    )
  })

  it('reads flows only at the ends where everything is summed', () => {
    const all = { minute: () => true, hour: () => true }
    const pieces = piecesOf(START + 90_500, START + 3 * HOUR_MS + 61_000, all)
    assert.deepEqual(
      pieces.map(({ from, fromMs, toMs }) => [from, fromMs - START, toMs - START]),
      [
        ['flows', 90_500, 120_000],
        ['minutes', 120_000, HOUR_MS],
        ['hours', HOUR_MS, 3 * HOUR_MS],
        ['minutes', 3 * HOUR_MS, 3 * HOUR_MS + 60_000],
        ['flows', 3 * HOUR_MS + 60_000, 3 * HOUR_MS + 61_000],
      ],
    )
  })

  it('is widened where nothing finer is kept', () => {
    const kept = { minutesMs: START, flowsMs: START + 10 * HOUR_MS }
    const at = (hours: number, ms: number) => START + hours * HOUR_MS + ms
    assert.deepEqual(answerable(at(-1, 5), at(2, 5), kept), [at(-1, 0), at(2, MINUTE_MS)])
    assert.deepEqual(answerable(at(11, 5), at(12, 5), kept), [at(11, 5), at(12, 5)])
  })
})
