// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { markWords, tcpFlagLetters } from './flow.js'

describe('a flow for people', () => {
  it('shows TCP flags by their letters', () => {
    assert.equal(tcpFlagLetters(0x02), 'S')
    assert.equal(tcpFlagLetters(0x12), 'SA')
    assert.equal(tcpFlagLetters(0x1b), 'FSPA')
    assert.equal(tcpFlagLetters(0xff), 'FSRPAUEC')
    assert.equal(tcpFlagLetters(0), '')
  })

  it('shows marks as words', () => {
    assert.deepEqual(markWords(0), [])
    assert.deepEqual(markWords(3), ['fragment', 'dropped'])
    assert.deepEqual(markWords(31), ['fragment', 'dropped', 'tunnelled', 'sampled', 'overflow'])
  })
})
