// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ReadPace } from './read-pace.js'

/** Reads as the pace asks for, in a time of its own. */
class Reader {
  readonly #pace = new ReadPace()
  readonly #costMs: number
  #now = 0
  #wait = 100

  constructor(costMs = 1) {
    this.#costMs = costMs
  }

  /** The waits of so many milliseconds. */
  read(forMs: number, pps: number, victimPps = pps, usualPps = victimPps): number[] {
    const waits: number[] = []
    for (const end = this.#now + forMs; this.#now < end; ) {
      const seconds = this.#wait / 1000
      this.#now += this.#wait
      this.#wait = this.#pace.next(
        { packets: pps * seconds, largest: victimPps * seconds, largestUsualPps: usualPps },
        this.#now,
        this.#costMs,
        100,
      )
      waits.push(this.#wait)
    }
    return waits
  }
}

describe('the pace of reads', () => {
  it('stays as configured while traffic is steady, whatever its rate', () => {
    for (const pps of [0, 500, 100_000]) {
      const reader = new Reader()
      reader.read(20_000, pps)
      assert.deepEqual(new Set(reader.read(5000, pps)), new Set([100]))
    }
  })

  it('is faster from the first read that sees a rise on, and for a few seconds only', () => {
    const reader = new Reader()
    reader.read(10_000, 1000)
    const waits = reader.read(20_000, 50_000)
    assert.equal(waits[0], 10)
    assert.equal(waits.at(-1), 100)
    const fast = waits.filter((wait) => wait === 10).length
    assert.ok(fast >= 100 && fast < 600, `${fast} fast reads`)
  })

  it('sees a victim that is small beside the traffic of all', () => {
    const reader = new Reader()
    reader.read(10_000, 1_000_000, 5000)
    assert.equal(reader.read(1000, 1_020_000, 25_000)[0], 10)
  })

  it('sees an attack that goes from one victim to the next at the same rate', () => {
    const reader = new Reader()
    reader.read(10_000, 60_000, 50_000)
    assert.equal(reader.read(100, 60_000, 50_000, 0)[0], 10)
  })

  it('does not mind the bursts of the largest', () => {
    const reader = new Reader()
    reader.read(10_000, 60_000, 50_000)
    assert.deepEqual(new Set(reader.read(1000, 60_000, 50_000, 15_000)), new Set([100]))
  })

  it('takes a quarter of a core at most, however dear a read is', () => {
    const reader = new Reader(12)
    reader.read(10_000, 1000)
    assert.equal(reader.read(1000, 50_000)[0], 48)
  })

  it('is never slower than configured', () => {
    const pace = new ReadPace()
    assert.equal(pace.next({ packets: 0, largest: 0, largestUsualPps: 0 }, 0, 8, 10), 10)
    assert.equal(pace.next({ packets: 1e6, largest: 1e6, largestUsualPps: 1e6 }, 10, 8, 10), 10)
  })
})
