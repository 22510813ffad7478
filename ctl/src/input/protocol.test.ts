// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PROTOCOL_NAMES, parseProtocol, protocolName } from './protocol.js'

describe('protocols', () => {
  it('every name reads back to itself', () => {
    for (const name of PROTOCOL_NAMES) assert.equal(protocolName(parseProtocol(name)), name)
  })

  it('are names in any case, or numbers', () => {
    assert.equal(parseProtocol('UDP'), 17)
    assert.equal(parseProtocol('6'), 6)
    assert.equal(parseProtocol('253'), 253)
    assert.equal(protocolName(253), '253')
  })

  it('are never 0, which means any to the API, nor out of range', () => {
    for (const text of ['0', '256', '-1', '6.5', '', 'tpc'])
      assert.throws(() => parseProtocol(text), /is no protocol/)
  })
})
