// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatBytes, formatDuration, formatRate, parseDuration, parseRate, parseSize } from './units.js'

describe('units in', () => {
  it('reads rates with decimal prefixes', () => {
    assert.equal(parseRate('20k'), 20_000)
    assert.equal(parseRate('1.5M'), 1_500_000)
    assert.equal(parseRate('1G'), 1e9)
    assert.equal(parseRate(3500), 3500)
  })
  it('reads sizes, decimal and binary', () => {
    assert.equal(parseSize('1G'), 1e9)
    assert.equal(parseSize('512MiB'), 512 * 1024 * 1024)
    assert.equal(parseSize('10KB'), 10_000)
  })
  it('reads times', () => {
    assert.equal(parseDuration('250ms'), 250)
    assert.equal(parseDuration('1.5s'), 1500)
    assert.equal(parseDuration('30m'), 1_800_000)
  })
  it('refuses what it would have to guess, with an example', () => {
    assert.throws(() => parseDuration('30'), { code: 'FD_UNIT_INVALID', message: /250ms, 5s/ })
    assert.throws(() => parseRate('-1'), { code: 'FD_UNIT_INVALID' })
    assert.throws(() => parseRate('20 kpps'), { code: 'FD_UNIT_INVALID' })
    assert.throws(() => parseSize('1X'), { code: 'FD_UNIT_INVALID' })
  })
})

describe('units out', () => {
  it('keeps three digits', () => {
    assert.equal(formatRate(0, 'pps'), '0 pps')
    assert.equal(formatRate(999.7, 'pps'), '1.00 kpps')
    assert.equal(formatRate(12_345, 'pps'), '12.3 kpps')
    assert.equal(formatRate(1.2e9, 'bit/s'), '1.20 Gbit/s')
    assert.equal(formatBytes(1536), '1.50 KiB')
    assert.equal(formatBytes(999), '999 B')
    assert.equal(formatDuration(350), '350 ms')
    assert.equal(formatDuration(59_990), '1m 00s')
    assert.equal(formatDuration(3 * 3600e3 + 5 * 60e3), '3h 05m')
  })
})
