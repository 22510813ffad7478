// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BlockWindows } from './windows.js'

describe('windows over a big map', () => {
  it('grow with use, show the same memory, and give it back', () => {
    const memory = new ArrayBuffer(2 * 65_536 * 64)
    let mapped = 0
    const windows = new BlockWindows(
      {
        mapRange: (byteOffset, size) => {
          mapped += size
          const unmap = () => {
            mapped -= size
          }
          return { buffer: memory, byteOffset, unmap }
        },
      },
      64,
      65_536,
    )
    assert.equal(windows.get(0, 0).items, 0)
    assert.equal(mapped, 0)
    windows.get(1, 10).words[0] = 7
    assert.equal(mapped, 4096 * 64)
    assert.equal(windows.get(1, 5000).items, 8192)
    assert.equal(windows.get(1, 5000).words[0], 7, 'larger, but the same beginning')
    assert.equal(new Uint32Array(memory)[65_536 * 16], 7, "the second block's")
    assert.equal(windows.get(1, 65_000).items, 65_536, 'never beyond the block')
    windows.shrink(1, 60_000)
    assert.equal(mapped, 65_536 * 64)
    windows.shrink(1, 100)
    assert.equal(mapped, 0)
    windows.get(0, 1)
    windows.releaseAll()
    assert.deepEqual([mapped, windows.mappedBytes], [0, 0])
  })
})
