// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { formatPrefix, maskAddress, type Prefix, parseAddress, parsePrefix } from './address.js'
import { contains, PrefixMap, PrefixSet } from './prefix-map.js'

/** Few distinct bits, so that prefixes nest often. */
const address = fc
  .array(fc.constantFrom(0, 1, 0x80, 0xff), { minLength: 16, maxLength: 16 })
  .map((a) => new Uint8Array(a))
const prefix = fc.tuple(address, fc.integer({ min: 0, max: 128 })).map(([bytes, length]): Prefix => {
  const masked = maskAddress(bytes, length)
  return { bytes: masked, length, text: formatPrefix(masked, length) }
})
const host = (bytes: Uint8Array): Prefix => ({ bytes, length: 128, text: '' })

describe('PrefixMap', () => {
  it('finds the longest match, as a linear search does', () => {
    fc.assert(
      fc.property(
        fc.array(prefix, { maxLength: 30 }),
        fc.array(address, { minLength: 1 }),
        (prefixes, probes) => {
          const map = new PrefixMap<number>()
          for (const [index, entry] of prefixes.entries()) map.set(entry, index)
          for (const probe of probes) {
            let expected: number | undefined
            let longest = -1
            for (const [index, entry] of prefixes.entries()) {
              if (contains(entry, host(probe)) && entry.length >= longest) {
                longest = entry.length
                expected = index
              }
            }
            assert.equal(map.lookup(probe), expected)
          }
        },
      ),
    )
  })

  it('reads addresses inside a larger buffer', () => {
    const map = new PrefixMap([[parsePrefix('203.0.113.0/24'), 'customers']])
    const buffer = new Uint8Array(64)
    buffer.set(parseAddress('203.0.113.77'), 16)
    assert.equal(map.lookup(buffer, 16), 'customers')
    assert.equal(map.lookup(buffer, 0), undefined)
  })
})

describe('PrefixSet', () => {
  it('covers a prefix only when all of it is inside', () => {
    const set = new PrefixSet([parsePrefix('203.0.113.0/24'), parsePrefix('2001:db8::/32')])
    assert.ok(set.covers(parsePrefix('203.0.113.0/24')))
    assert.ok(set.covers(parsePrefix('203.0.113.64/26')))
    assert.ok(!set.covers(parsePrefix('203.0.112.0/23')))
    assert.ok(set.covers(parsePrefix('2001:db8:5::1')))
    assert.ok(!set.has(parseAddress('198.51.100.1')))
  })
})
