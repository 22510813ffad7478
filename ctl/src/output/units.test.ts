// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatBps, formatCount, formatFlowRate, formatMetric, formatPps } from './units.js'

describe('rates for people', () => {
  it('have three digits, a prefix and a unit', () => {
    assert.equal(formatPps(12_345), '12.3 kpps')
    assert.equal(formatBps(1_234_567_890), '1.23 Gbit/s')
    assert.equal(formatFlowRate(350), '350 flows/s')
    assert.equal(formatPps(0), '0 pps')
  })

  it('are round where the number is', () => {
    assert.equal(formatPps(20_000), '20 kpps')
    assert.equal(formatPps(5.04), '5 pps')
    assert.equal(formatPps(123.4), '123 pps')
  })

  it("take a threshold's metric for the unit", () => {
    assert.equal(formatMetric('bps', 1e9), '1 Gbit/s')
    assert.equal(formatMetric('udp_bps', 1e6), '1 Mbit/s')
    assert.equal(formatMetric('flows', 3500), '3.5 kflows/s')
    assert.equal(formatMetric('syn_pps', 10_000), '10 kpps')
  })

  it('group thousands in counts', () => {
    assert.equal(formatCount(1_234_567), '1,234,567')
    assert.equal(formatCount(999), '999')
  })
})
