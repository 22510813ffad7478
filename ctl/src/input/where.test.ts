// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseWhere } from './where.js'

describe('--where', () => {
  it('reads conditions by blanks, commas and "and"', () => {
    const all = { dst: '203.0.113.5', proto: 17, port: 53 }
    for (const text of [
      'dst=203.0.113.5 proto=udp port=53',
      'dst=203.0.113.5,proto=17,port=53',
      'dst==203.0.113.5 and proto=udp AND port=53',
    ]) {
      assert.deepEqual(parseWhere(text), all)
    }
    assert.deepEqual(parseWhere('src=2001:db8::/48 agent=edge1'), { src: '2001:db8::/48', agent: 'edge1' })
  })

  const wrong: [string, RegExp][] = [
    ['', /has no condition/],
    ['dst', /'dst' is no condition/],
    ['dst=', /'dst=' is no condition/],
    ['prot=udp', /no field 'prot'; did you mean 'proto'\?/],
    ['toString=1', /no field 'toString'/],
    ['dst=203.0.113.5 dst=203.0.113.6', /'dst' stands twice/],
    ['dst=203.0.113.500', /'203\.0\.113\.500' is no address or prefix/],
    ['port=70000', /'70000' is no whole number/],
    ['proto=quic', /quic/],
  ]
  for (const [text, message] of wrong) {
    it(`refuses '${text}' and says why`, () => {
      assert.throws(() => parseWhere(text), { code: 'FD_USAGE', message })
    })
  }
})
