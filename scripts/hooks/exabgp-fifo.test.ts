// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { ROOT } from '../lab/root.js'

const HOOK = join(ROOT, 'scripts', 'hooks', 'exabgp-fifo')
const CONFIG = 'NEXT_HOP_4=10.0.3.114\nCOMMUNITIES=65001:666\nFAMILIES=4\n'

describe('the exabgp-fifo hook', () => {
  let folder = ''
  let stopReader = async () => {}

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'flowdam-fifo-'))
    assert.equal(spawnSync('mkfifo', [join(folder, 'exabgp.cmd')]).status, 0)
    // Reads one opening after the other, as a person would with cat.
    const reader = spawn('sh', ['-c', 'while :; do cat exabgp.cmd >>lines; done'], {
      cwd: folder,
      detached: true,
    })
    const ended = new Promise<void>((resolve) => reader.once('exit', () => resolve()))
    stopReader = async () => {
      process.kill(-(reader.pid ?? 0), 'SIGKILL')
      await ended
    }
  })
  afterEach(async () => {
    await stopReader()
    rmSync(folder, { recursive: true, force: true })
  })

  function hook(config: string, ...args: string[]) {
    const file = join(folder, 'hook.conf')
    writeFileSync(file, `EXABGP_FIFO=${folder}/exabgp.cmd\nEXABGP_FOLDER=${folder}/state\n${config}`)
    const { status, stderr } = spawnSync(HOOK, ['--config', file, ...args], {
      encoding: 'utf8',
      input: 'IP: …\n',
    })
    assert.deepEqual([status, stderr], [0, ''])
  }

  /** What came out of the pipe; the reader may be a moment late. */
  async function lines(count: number): Promise<string[]> {
    for (;;) {
      const text = readFileSync(join(folder, 'lines'), { encoding: 'utf8', flag: 'a+' })
      if (text.split('\n').length > count) return text.trimEnd().split('\n')
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  it('writes the lines that FastNetMon writes', async () => {
    hook(CONFIG, '10.10.10.221', 'incoming', '104233', 'ban')
    hook(CONFIG, '10.10.10.221', 'incoming', '104233', 'unban')
    assert.deepEqual(await lines(2), [
      'announce route 10.10.10.221/32 next-hop 10.0.3.114 community 65001:666',
      'withdraw route 10.10.10.221/32 next-hop 10.0.3.114',
    ])
  })

  it('puts several communities into brackets', async () => {
    hook('NEXT_HOP_4=self\nCOMMUNITIES=65001:666,65001:777\n', '10.10.10.221', 'incoming', '1', 'ban')
    assert.deepEqual(await lines(1), [
      'announce route 10.10.10.221/32 next-hop self community [65001:666 65001:777]',
    ])
  })

  it('does nothing for a family that it is not for', async () => {
    hook(CONFIG, '2001:db8::1', 'incoming', '1', 'ban')
    hook(CONFIG, '10.10.10.221', 'incoming', '1', 'ban')
    assert.deepEqual(await lines(1), [
      'announce route 10.10.10.221/32 next-hop 10.0.3.114 community 65001:666',
    ])
  })

  it('says that a pipe is not there', () => {
    const file = join(folder, 'hook.conf')
    writeFileSync(file, `EXABGP_FIFO=${folder}/none\nEXABGP_FOLDER=${folder}/state\n`)
    const { status, stderr } = spawnSync(HOOK, ['--config', file, 'ban', '10.10.10.221'], {
      encoding: 'utf8',
    })
    assert.equal(status, 1)
    assert.match(stderr, /none is no named pipe: is ExaBGP running/)
    // Nothing was announced, so nothing is remembered.
    assert.equal(readFileSync(join(folder, 'state', 'routes'), 'utf8'), '')
  })

  it('withdraws with the next hop that it announced', async () => {
    hook(CONFIG, 'ban', '10.10.10.221')
    hook('NEXT_HOP_4=192.0.2.9\n', 'unban', '10.10.10.221')
    assert.equal((await lines(2))[1], 'withdraw route 10.10.10.221/32 next-hop 10.0.3.114')
  })
})
