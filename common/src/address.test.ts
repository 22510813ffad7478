// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { isIPv6 } from 'node:net'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { formatAddress, parseAddress, parsePrefix } from './address.js'

const anyAddress = fc.uint8Array({ minLength: 16, maxLength: 16 })
/** Many zero groups, so that the "::" rules are met often. */
const sparseAddress = fc.tuple(anyAddress, fc.integer({ min: 0, max: 255 })).map(([bytes, zeroGroups]) => {
  const sparse = bytes.slice()
  for (let group = 0; group < 8; group++)
    if (zeroGroups & (1 << group)) sparse.fill(0, group * 2, group * 2 + 2)
  return sparse
})

describe('address text', () => {
  it('follows RFC 5952', () => {
    for (const [input, output] of [
      ['192.0.2.7', '192.0.2.7'],
      ['::ffff:192.0.2.7', '192.0.2.7'],
      ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['0:0:0:0:0:0:0:0', '::'],
      ['::1', '::1'],
      ['fe80::', 'fe80::'],
    ] as const) {
      assert.equal(formatAddress(parseAddress(input)), output)
    }
  })

  it('reads back what it writes, and writes what the platform reads', () => {
    fc.assert(
      fc.property(sparseAddress, (bytes) => {
        const text = formatAddress(bytes)
        assert.deepEqual(parseAddress(text), bytes)
        assert.ok(text.includes('.') || isIPv6(text), text)
      }),
    )
  })

  it('accepts exactly what the platform accepts as IPv6', () => {
    const piece = fc.constantFrom('0', '1', 'ffff', 'db8', '::', ':', '12345', 'g', '1.2.3.4', '')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('').length > 0 ? pieces.join(':').replaceAll(':::', '::') : ':'
        if (!text.includes(':')) return
        let ours = true
        try {
          parseAddress(text)
        } catch {
          ours = false
        }
        assert.equal(ours, isIPv6(text), text)
      }),
      { numRuns: 2000 },
    )
  })

  it('refuses what is ambiguous or wrong', () => {
    for (const text of [
      '',
      '1.2.3',
      '1.2.3.256',
      '01.2.3.4',
      '1::2::3',
      '1:2:3:4:5:6:7',
      'fe80::1%eth0',
      'a.b.c.d',
    ]) {
      assert.throws(() => parseAddress(text), { code: 'FD_ADDRESS_INVALID' }, text)
    }
  })
})

describe('prefix text', () => {
  it('knows lengths on 128 bits', () => {
    assert.equal(parsePrefix('203.0.113.0/24').length, 120)
    assert.equal(parsePrefix('203.0.113.9').length, 128)
    assert.equal(parsePrefix('2001:db8::/32').length, 32)
    assert.equal(parsePrefix('0.0.0.0/0').length, 96)
    assert.equal(parsePrefix('203.0.113.9').text, '203.0.113.9/32')
  })

  it('names the prefix that was meant when host bits are set', () => {
    assert.throws(() => parsePrefix('203.0.113.5/24'), /did you mean 203\.0\.113\.0\/24\?/)
    assert.throws(() => parsePrefix('10.0.0.0/33'), /length from 0 to 32/)
    assert.throws(() => parsePrefix('2001:db8::/'), /length from 0 to 128/)
  })
})
