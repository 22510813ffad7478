// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { describe, it } from 'node:test'
import { reserveOf, spaceOf } from './space.js'
import { type DiskState, DiskWatch } from './watch.js'

const TOTAL = 1000

/** A disk of 1000 bytes of which 100 are to stay free, and how it was said to be. */
function watched() {
  const disk = { freeBytes: 500 as number | undefined }
  const states: DiskState[] = []
  const watch = new DiskWatch({
    look: async () => {
      if (disk.freeBytes === undefined) throw new Error('nobody knows')
      return { freeBytes: disk.freeBytes, totalBytes: TOTAL }
    },
    reserve: () => 100,
    everyMs: 1e6,
    onState: (state) => states.push(state),
  })
  const is = async (freeBytes: number | undefined) => {
    disk.freeBytes = freeBytes
    await watch.look()
    return watch.state
  }
  return { watch, states, is }
}

describe('the watch of a disk', () => {
  it('says low below the reserve, critical below half of it, and ok when there is a little more', async () => {
    const { watch, states, is } = watched()
    assert.equal(await is(100), 'ok')
    assert.equal(await is(99), 'low')
    assert.equal(await is(50), 'low')
    assert.equal(await is(49), 'critical')
    assert.equal(await is(0), 'critical')
    assert.equal(await is(112), 'low')
    assert.equal(await is(113), 'ok')
    assert.equal(await is(101), 'ok')
    assert.deepEqual(states, ['low', 'critical', 'low', 'ok'])
    assert.deepEqual([watch.freeBytes, watch.reserveBytes], [101, 100])
  })

  it('takes a disk of which nobody knows as it was, and as well at first', async () => {
    const { is, watch } = watched()
    assert.equal(await is(undefined), 'ok')
    assert.deepEqual([watch.freeBytes, watch.reserveBytes], [0, 0])
    assert.equal(await is(10), 'critical')
    assert.equal(await is(undefined), 'critical')
  })

  it('lets those wait for room who ask, until there is some, they are called off, or it ends', async () => {
    const { watch, is } = watched()
    await watch.start()
    const never = new AbortController().signal
    await watch.room(never)
    await is(0)
    const passed: string[] = []
    const off = new AbortController()
    const waiting = [watch.room(never).then(() => passed.push('room')), watch.room(off.signal)]
    off.abort()
    await waiting[1]
    await is(60)
    assert.deepEqual(passed, [])
    await is(200)
    await waiting[0]
    assert.deepEqual(passed, ['room'])
    await is(0)
    const last = watch.room(never)
    await watch.stop()
    await last
  })
})

describe('a reserve', () => {
  it('is a twentieth of the disk, 1 GB at most, or what somebody said', () => {
    assert.equal(reserveOf(undefined, 10e9), 5e8)
    assert.equal(reserveOf(undefined, 10e12), 1e9)
    assert.equal(reserveOf(7, 10e12), 7)
    assert.equal(reserveOf(0, 10e12), 0)
  })

  it('is of what statfs says', async () => {
    const { freeBytes, totalBytes } = await spaceOf(tmpdir())
    assert.ok(freeBytes > 0 && freeBytes <= totalBytes)
  })
})
