// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeRecord, RECORD_SIZE } from '@flowdam/proto'
import fc from 'fast-check'
import { makeRecords } from '../testing/records.js'
import { aligned, rebase, setSources } from './rebase.js'

describe('rebase', () => {
  it('changes first_ms and source and not one other byte', () => {
    const table = new Uint16Array(256)
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer(),
        fc.integer({ min: 0, max: 4_000_000_000 }),
        fc.integer({ min: 0, max: 6000 }),
        (count, seed, shift, limit) => {
          const { records } = makeRecords(count, seed)
          const before = Buffer.from(records)
          for (let iface = 0; iface < 256; iface++) table[iface] = iface === 0x80 ? 0 : iface + 300
          const result = { minMs: 0, maxMs: 0, unknown: 0 }
          rebase(records, table, shift, limit, result)
          const firsts: number[] = []
          let unknown = 0
          for (let at = 0; at < records.length; at += RECORD_SIZE) {
            const was = decodeRecord(before, at)
            const is = decodeRecord(records, at)
            const firstMs = Math.min(was.firstMs, limit) + shift
            const source = table[was.iface] as number
            assert.deepEqual(is, { ...was, firstMs, source })
            firsts.push(firstMs)
            if (source === 0) unknown++
          }
          assert.deepEqual(result, { minMs: Math.min(...firsts), maxMs: Math.max(...firsts), unknown })
        },
      ),
    )
  })

  it('setSources leaves the time alone', () => {
    const { records } = makeRecords(10, 1)
    const before = Buffer.from(records)
    setSources(records, new Uint16Array(256).fill(9))
    for (let at = 0; at < records.length; at += RECORD_SIZE) {
      assert.deepEqual(decodeRecord(records, at), { ...decodeRecord(before, at), source: 9 })
    }
  })

  it('copies only what is askew', () => {
    const even = new Uint8Array(new ArrayBuffer(128), 64, 64)
    const askew = new Uint8Array(new ArrayBuffer(128), 63, 64)
    assert.equal(aligned(even), even)
    assert.notEqual(aligned(askew), askew)
    assert.equal(aligned(askew).byteOffset % 4, 0)
  })
})
