// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ENOUGH_MINUTES, MINUTES, Profiles, QUANTILE } from './profiles.js'
import { CODE_ERROR, decodeRate, encodeRate, UNKNOWN } from './rate-code.js'
import { HOURS_PER_WEEK, hourOfWeek, nameOfHour, usualAt } from './week.js'

const HOUR = 24 * 7 * 2900

/** Teaches one channel an hour of these minutes, and begins the next. */
function teach(profiles: Profiles, hour: number, minutes: readonly number[]): void {
  profiles.endMinute(0, hour, 0, false)
  for (const rate of minutes) {
    profiles.note(0, 0, rate)
    profiles.endMinute(0, hour, 0, true)
  }
  profiles.endMinute(0, hour + 1, 0, false)
}

function learnedAt(profiles: Profiles, hour: number): number {
  return profiles.hours[profiles.weekOf(0, 0) + hourOfWeek(hour)] as number
}

describe('profiles', () => {
  it('keep rates to a share of themselves, and order', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1, max: 1e15, noNaN: true }),
        fc.double({ min: 1, max: 1e15, noNaN: true }),
        (a, b) => {
          assert.ok(Math.abs(decodeRate(encodeRate(a)) / a - 1) <= CODE_ERROR * 1.0001)
          if (a <= b) assert.ok(encodeRate(a) <= encodeRate(b))
        },
      ),
    )
    assert.equal(decodeRate(encodeRate(0.5)), 0)
    assert.ok(encodeRate(1e30) < UNKNOWN)
  })

  it('learn the exact quantile of an hour’s minutes, to the error of the code', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant(0), fc.double({ min: 1, max: 1e12, noNaN: true })), {
          minLength: ENOUGH_MINUTES,
          maxLength: MINUTES,
        }),
        (minutes) => {
          const profiles = new Profiles(1, 1)
          profiles.clear(0, HOUR)
          teach(profiles, HOUR, minutes)
          const sorted = minutes.toSorted((a, b) => a - b)
          const exact = sorted[Math.ceil(minutes.length * QUANTILE) - 1] as number
          const learned = decodeRate(learnedAt(profiles, HOUR))
          if (exact === 0) assert.equal(learned, 0)
          else assert.ok(Math.abs(learned / exact - 1) <= CODE_ERROR * 1.0001, `${learned} for ${exact}`)
        },
      ),
    )
  })

  it('never exceed what was ever seen in the hour, however the weeks differ', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1, maxLength: 12 }),
        (weeks) => {
          const profiles = new Profiles(1, 1)
          profiles.clear(0, HOUR)
          for (const [week, rate] of weeks.entries()) {
            teach(profiles, HOUR + week * HOURS_PER_WEEK, new Array(MINUTES).fill(rate))
          }
          const learned = learnedAt(profiles, HOUR)
          assert.ok(learned <= encodeRate(Math.max(...weeks)) && learned >= encodeRate(Math.min(...weeks)))
          assert.equal(profiles.learnedOf(0, 0), weeks.length)
        },
      ),
    )
  })

  it('take nothing from an hour with too few minutes, and nothing from three odd ones', () => {
    const profiles = new Profiles(1, 1)
    profiles.clear(0, HOUR)
    teach(profiles, HOUR, new Array(ENOUGH_MINUTES - 1).fill(1000))
    assert.equal(learnedAt(profiles, HOUR), UNKNOWN)
    teach(profiles, HOUR + 1, [...new Array(57).fill(1000), 90_000, 90_000, 90_000])
    assert.equal(learnedAt(profiles, HOUR + 1), encodeRate(1000))
  })

  it('forget the last two minutes before an attack, and learn again when it is over', () => {
    const profiles = new Profiles(1, 1)
    profiles.clear(0, HOUR)
    profiles.endMinute(0, HOUR, 0, false)
    for (let minute = 0; minute < 40; minute++) {
      profiles.note(0, 0, minute < 10 ? 100 : 50_000)
      if (minute === 12) profiles.exclude(0, 38)
      profiles.endMinute(0, HOUR, minute, true)
    }
    // Ten ordinary minutes, and those from the 38th on.
    assert.equal(profiles.filled[0], 12)
  })

  it('borrow for an hour that was never learned: from beside it, from other days, from the week', () => {
    const week = new Uint16Array(HOURS_PER_WEEK).fill(UNKNOWN)
    assert.equal(usualAt(week, 0, 5), UNKNOWN)
    week[110] = 7
    assert.equal(usualAt(week, 0, 5), 7)
    week[5 + 48] = 3
    assert.equal(usualAt(week, 0, 5), 3)
    week[6] = 1
    assert.equal(usualAt(week, 0, 5), 1)
    week[HOURS_PER_WEEK - 1] = 9
    assert.equal(usualAt(week, 0, 0), 9)
  })

  it('know the hours of the week', () => {
    assert.equal(nameOfHour(hourOfWeek(0)), 'Thursday 00:00 UTC')
    assert.equal(nameOfHour(hourOfWeek(Date.UTC(2026, 10, 16) / 3_600_000)), 'Monday 00:00 UTC')
  })
})
