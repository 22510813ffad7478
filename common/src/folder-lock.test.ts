// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { lockFolder } from './folder-lock.js'

describe('the lock of a folder', () => {
  let folder: string
  let path: string
  const children: ChildProcess[] = []

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flowdam-lock-'))
    path = join(folder, 'lock')
  })
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
    rmSync(folder, { recursive: true })
  })

  /** Another process that lives, and how /proc names it. */
  async function other(): Promise<{ child: ChildProcess; name: string }> {
    const child = spawn('sleep', ['60'], { stdio: 'ignore' })
    children.push(child)
    await once(child, 'spawn')
    const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
    return { child, name: `${child.pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}` }
  }

  it('is held until it is let go', () => {
    const unlock = lockFolder(folder, '')
    assert.match(readFileSync(path, 'utf8'), new RegExp(`^${process.pid} \\d+$`))
    // Of the same process: a component that starts anew.
    lockFolder(folder, '')
    unlock()
    assert.equal(existsSync(path), false)
  })

  it('is refused while its holder lives, and says who that is and what to do', async () => {
    const { child, name } = await other()
    writeFileSync(path, name)
    assert.throws(() => lockFolder(folder, 'stop it'), {
      code: 'FD_SPOOL_LOCKED',
      message: `${folder} is in use by process ${child.pid}`,
      remedy: 'stop it',
    })
    child.kill('SIGKILL')
    await once(child, 'exit')
    lockFolder(folder, '')
  })

  it('is taken over from a number that another process has now, from nonsense, and from nothing, in the same block', async () => {
    const { child } = await other()
    for (const left of [`${child.pid} 1`, `${process.pid} 1`, 'x', '', 'x'.repeat(100)]) {
      writeFileSync(path, left)
      const { ino } = statSync(path)
      lockFolder(folder, '')
      assert.match(readFileSync(path, 'utf8'), new RegExp(`^${process.pid} \\d+$`), left)
      // Another file would need room, which a full disk does not have.
      assert.equal(statSync(path).ino, ino)
    }
  })
})
