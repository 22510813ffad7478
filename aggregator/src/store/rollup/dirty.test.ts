// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import fc from 'fast-check'
import { DirtyMinutes } from './dirty.js'

const MINUTE_MS = 60_000

describe('minutes to be summed', () => {
  let folder: string
  let file: string
  const open = async () => {
    const dirty = new DirtyMinutes(file)
    await dirty.start()
    return dirty
  }
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flowdam-dirty-'))
    file = join(folder, 'rollups.json')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('are given oldest first, when they are over, within one hour', async () => {
    const dirty = await open()
    await dirty.mark(58 * MINUTE_MS, 62 * MINUTE_MS + 1)
    assert.deepEqual(dirty.next(58 * MINUTE_MS + 59_999, 60), undefined)
    assert.deepEqual(dirty.next(59 * MINUTE_MS, 60), [58, 58])
    assert.deepEqual(dirty.next(100 * MINUTE_MS, 60), [58, 59])
    assert.deepEqual(dirty.next(100 * MINUTE_MS, 1), [58, 58])
  })

  it('survive: in any order of marking, taking and failing, a restart forgets nothing that is not summed', async () => {
    const step = fc.oneof(
      fc.record({ mark: fc.nat({ max: 200 }), length: fc.nat({ max: 5 }) }),
      fc.record({ sum: fc.boolean() }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        rmSync(file, { force: true })
        let dirty = await open()
        const owed = new Set<number>()
        for (const one of steps) {
          if ('mark' in one) {
            await dirty.mark(one.mark * MINUTE_MS, (one.mark + one.length) * MINUTE_MS)
            for (let minute = one.mark; minute <= one.mark + one.length; minute++) owed.add(minute)
            continue
          }
          const minutes = dirty.next(1e9, 60)
          if (!minutes) continue
          dirty.take(minutes)
          await dirty.done(one.sum)
          if (one.sum) for (let minute = minutes[0]; minute <= minutes[1]; minute++) owed.delete(minute)
          else dirty = await open()
        }
        const after = await open()
        for (let next = after.next(1e9, 60); next; next = after.next(1e9, 60)) {
          after.take(next)
          await after.done(true)
          for (let minute = next[0]; minute <= next[1]; minute++) assert.ok(owed.delete(minute))
        }
        assert.equal(owed.size, 0)
      }),
      { numRuns: 30 },
    )
  })

  it('of a time in work are not forgotten by a crash, and what comes for them meanwhile counts again', async () => {
    const dirty = await open()
    await dirty.mark(0, MINUTE_MS)
    dirty.take([0, 1])
    await dirty.mark(5 * MINUTE_MS, 5 * MINUTE_MS)
    const crashed = await open()
    assert.equal(crashed.size, 3)
    await dirty.mark(0, 0)
    await dirty.done(true)
    assert.deepEqual(dirty.next(1e9, 60), [0, 0])
    assert.deepEqual(dirty.hours, [0])
  })

  it('are not taken as noted when the disk refuses, and are when it does no more', async () => {
    const dirty = await open()
    mkdirSync(`${file}.new`)
    writeFileSync(join(`${file}.new`, 'x'), '')
    await assert.rejects(dirty.mark(0, 0))
    await assert.rejects(dirty.mark(0, 0))
    rmSync(`${file}.new`, { recursive: true })
    await dirty.mark(0, 0)
    assert.equal((await open()).size, 1)
  })
})
