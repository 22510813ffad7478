// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ClockWatch } from './clock-watch.js'
import { createLogger } from './log.js'
import { SteadyClock } from './steady-clock.js'

const log = createLogger('test')
log.level = 'silent'
const HOUR = 3_600_000

function clocks() {
  const now = { wall: 1_800_000_000_000, monotonic: 5000 }
  const pass = (ms: number) => {
    now.wall += ms
    now.monotonic += ms
  }
  return { now, pass, wall: () => now.wall, monotonic: () => now.monotonic }
}

describe('clock watch', () => {
  it('notices a clock that is set, forward and back, and nothing else', () => {
    const { now, pass, wall, monotonic } = clocks()
    const steps: number[] = []
    const watch = new ClockWatch({ log, wall, monotonic, onStep: (ms) => steps.push(ms) })
    for (let second = 0; second < 5000; second++) {
      pass(1000)
      // As NTP slews: half a millisecond a second, two seconds in all.
      now.wall += 0.5
      watch.look()
    }
    assert.equal(watch.steps, 0)
    now.wall += HOUR
    watch.look()
    now.wall -= 2 * HOUR
    watch.look()
    watch.look()
    assert.deepEqual(steps, [HOUR, -2 * HOUR])
    assert.deepEqual([watch.steps, watch.lastStepMs], [2, -2 * HOUR])
  })
})

describe('steady clock', () => {
  it('is the wall clock while that is left alone', () => {
    const { now, pass, wall, monotonic } = clocks()
    const clock = new SteadyClock(wall, monotonic)
    for (let i = 0; i < 100; i++) {
      pass(i * 17)
      assert.equal(clock.now(), now.wall)
    }
  })

  it('whatever the wall clock does, what lasts is off by a tenth at most, and time never goes back', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(60_000), fc.integer({ min: -HOUR * 24, max: HOUR * 24 }), fc.boolean()), {
          minLength: 1,
          maxLength: 60,
        }),
        (moves) => {
          const { now, pass, wall, monotonic } = clocks()
          const clock = new SteadyClock(wall, monotonic)
          let last = clock.now()
          const first = last
          const began = now.monotonic
          for (const [ms, step, isSet] of moves) {
            pass(ms)
            if (isSet) now.wall += step
            const time = clock.now()
            assert.ok(time >= last)
            last = time
          }
          const passed = now.monotonic - began
          assert.ok(Math.abs(last - first - passed) <= passed * 0.1 + 1)
        },
      ),
    )
  })

  it('has followed after ten times as long', () => {
    const { now, pass, wall, monotonic } = clocks()
    const clock = new SteadyClock(wall, monotonic)
    now.wall -= 60_000
    for (let i = 0; i < 601; i++) {
      pass(1000)
      clock.now()
    }
    assert.equal(clock.now(), now.wall)
  })
})
