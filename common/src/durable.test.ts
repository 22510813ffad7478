// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import type { FileHandle } from 'node:fs/promises'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { writeAll } from './durable.js'

/** A file that takes at most so many bytes of each write. */
function slowFile(takes: readonly number[]) {
  const content = Buffer.alloc(4096)
  let turn = 0
  const writev = async (buffers: readonly Uint8Array[], position: number) => {
    const whole = Buffer.concat(buffers)
    const bytesWritten = Math.min(whole.length, takes[turn++ % takes.length] as number)
    whole.copy(content, position, 0, bytesWritten)
    return { bytesWritten, buffers }
  }
  return { content, file: { writev } as unknown as FileHandle }
}

describe('writing all of it', () => {
  it('goes on where a write stopped, whatever the pieces', async () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 })
    const takes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(pieces, takes, fc.nat(100), async (buffers, some, at) => {
        const { content, file } = slowFile(some)
        await writeAll(file, buffers, at)
        const whole = Buffer.concat(buffers)
        assert.deepEqual(content.subarray(at, at + whole.length), whole)
      }),
    )
  })

  it('does not try for ever when nothing is taken', async () => {
    const { file } = slowFile([5, 0])
    await assert.rejects(writeAll(file, [Buffer.alloc(10)], 0), /wrote 5 bytes/)
  })
})
