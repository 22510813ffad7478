// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ClockSkew } from './skew.js'

const HOUR = 3_600_000

describe("an agent's clock against ours", () => {
  /** Messages each second, with delays that vary; `ours` and `agents` are how far each clock is off. */
  const scene = () => {
    let time = 0
    const off = { ours: 0, agents: 0 }
    const skew = new ClockSkew(() => time)
    const seconds = (count: number) => {
      for (let i = 0; i < count; i++, time += 1000) {
        const delay = 5 + ((i * 37) % 200)
        skew.observe(1.8e12 + time + off.agents - delay, 1.8e12 + time + off.ours)
      }
    }
    return { off, skew, seconds }
  }

  it('is the least delayed of the last half minute', () => {
    const { off, skew, seconds } = scene()
    off.agents = 1500
    seconds(100)
    assert.ok(skew.ms <= 1495 && skew.ms > 1485, String(skew.ms))
  })

  it('a clock that is set back is believed within a minute, and at once when one is told', () => {
    for (const [which, told] of [
      ['agents', false],
      ['ours', false],
      ['agents', true],
      ['ours', true],
    ] as const) {
      const { off, skew, seconds } = scene()
      seconds(100)
      off[which] -= HOUR
      if (told) skew.reset()
      seconds(told ? 10 : 61)
      const expected = which === 'agents' ? -HOUR : HOUR
      assert.ok(Math.abs(skew.ms - expected) < 250, `${which}: ${skew.ms}`)
    }
  })
})
