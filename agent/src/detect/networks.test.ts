// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatPrefix, maskAddress, PrefixSet, parseAddress, parsePrefix } from '@flowdam/common'
import fc from 'fast-check'
import { Networks } from './networks.js'

const v4 = fc
  .uint8Array({ minLength: 4, maxLength: 4 })
  .map((bytes) => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...bytes))
const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 })
const prefix = fc.oneof(
  fc.tuple(v4, fc.integer({ min: 96, max: 128 })),
  fc.tuple(v6, fc.integer({ min: 0, max: 128 })),
)

function has(networks: Networks, address: Uint8Array): boolean {
  const memory = new Uint8Array(32)
  memory.set(address, 16)
  return networks.has(new Uint32Array(memory.buffer), memory, 4)
}

describe('networks', () => {
  it('answer as the trie does, at and beside every edge', () => {
    fc.assert(
      fc.property(
        fc.array(prefix, { maxLength: 12 }),
        fc.array(fc.oneof(v4, v6), { maxLength: 10 }),
        (prefixes, others) => {
          const texts = prefixes.map(([bytes, length]) => formatPrefix(maskAddress(bytes, length), length))
          const networks = new Networks(texts)
          const set = new PrefixSet(texts.map((text) => parsePrefix(text)))
          const edges = prefixes.flatMap(([bytes, length]) => {
            const first = maskAddress(bytes, length)
            const last = first.map((byte, i) => byte | (0xff >> Math.max(0, Math.min(8, length - i * 8))))
            return [first, last, next(last, 1), next(first, -1)]
          })
          for (const address of [...edges, ...others]) assert.equal(has(networks, address), set.has(address))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('stay right when there are more partly covered /16 than bitmaps', () => {
    const texts = Array.from({ length: 1500 }, (_, i) => `10.${i & 255}.${i >> 8}.0/24`)
    const many = Array.from({ length: 1100 }, (_, i) => `${20 + (i >> 8)}.${i & 255}.7.0/24`)
    const networks = new Networks([...texts, ...many])
    assert.ok(has(networks, parseAddress('24.10.7.9')))
    assert.ok(!has(networks, parseAddress('24.10.8.9')))
    assert.ok(has(networks, parseAddress('10.3.2.1')))
  })

  it('refuse what is no prefix', () => {
    assert.throws(() => new Networks(['203.0.113.1/24']), { code: 'FD_PREFIX_INVALID' })
  })
})

/** The address after or before, as a 128-bit number. */
function next(address: Uint8Array, by: number): Uint8Array {
  const copy = address.slice()
  for (let i = 15; i >= 0; i--) {
    const sum = (copy[i] as number) + by
    copy[i] = sum & 0xff
    if (sum >= 0 && sum <= 255) break
  }
  return copy
}
