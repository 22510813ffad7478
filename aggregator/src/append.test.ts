// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { appendWhole, LaterSync } from './append.js'

describe('a file of lines', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-append-'))
  const file = join(folder, 'lines')
  const fd = openSync(file, 'a')
  after(() => {
    closeSync(fd)
    rmSync(folder, { recursive: true })
  })

  it('keeps no half of a line that the disk took in part', () => {
    appendWhole(fd, Buffer.from('whole\n'), 0)
    const short = (to: number, bytes: Buffer) => writeSync(to, bytes, 0, 3)
    assert.throws(() => appendWhole(fd, Buffer.from('torn\n'), 6, short), /short write/)
    appendWhole(fd, Buffer.from('next\n'), 6)
    assert.equal(readFileSync(file, 'utf8'), 'whole\nnext\n')
  })

  it('says when a sync fails', async () => {
    // A device cannot be synced.
    const device = openSync('/dev/null', 'a')
    const failed = new Promise((resolve) => new LaterSync(() => device, resolve).soon())
    assert.match(String(await failed), /EINVAL/)
    closeSync(device)
  })
})
