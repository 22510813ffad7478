// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { AddressTable, NO_ROW } from './address-table.js'
import { RowMemory } from './row-memory.js'

const key = fc.nat(40)
const operation = fc.oneof(
  fc.record({ op: fc.constant('insert' as const), key }),
  fc.record({ op: fc.constant('remove' as const), key }),
)

describe('address table', () => {
  it('behaves like a Map, however keys come and go', () => {
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 300 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (operations, seed) => {
          const table = new AddressTable(new RowMemory(16, 1), seed)
          const model = new Map<number, number>()
          const words = (value: number) => Uint32Array.of(0, 0, 0xffff0000, value)
          for (const { op, key } of operations) {
            const row = table.find(words(key), 0)
            assert.equal(row, model.get(key) ?? NO_ROW)
            if (op === 'insert' && row === NO_ROW) {
              const fresh = table.insert(words(key), 0)
              if (model.size >= 16) assert.equal(fresh, NO_ROW)
              else {
                assert.ok(![...model.values()].includes(fresh), 'a row is given out once')
                model.set(key, fresh)
              }
            }
            if (op === 'remove' && row !== NO_ROW) {
              table.remove(row)
              model.delete(key)
            }
            assert.equal(table.size, model.size)
          }
          for (const [value, row] of model) assert.equal(table.find(words(value), 0), row)
        },
      ),
      { numRuns: 500 },
    )
  })
})
