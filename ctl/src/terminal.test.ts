// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { FakeAggregator } from './testing/fake-aggregator.js'

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url))
const hasScript = spawnSync('script', ['--version']).error === undefined

/** Runs a shell line on a terminal of its own (util-linux's script) and resolves with everything shown there. */
async function onTerminal(line: string, env: NodeJS.ProcessEnv, keys?: { after: RegExp; press: string }) {
  const child = spawn('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
    env: { PATH: process.env['PATH'], TERM: 'xterm', TZ: 'UTC', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let shown = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text
    if (keys?.after.test(shown)) {
      child.stdin.write(keys.press)
      keys = undefined
    }
  })
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { shown, status }
}

describe('flowdam on a terminal', {
  skip: hasScript ? false : 'script(1) of util-linux is not installed',
}, () => {
  const aggregator = new FakeAggregator()
  let env: NodeJS.ProcessEnv

  before(async () => {
    await aggregator.start()
    env = { FLOWDAM_SERVER: aggregator.address }
  })
  after(() => aggregator.stop())

  const command = (args: string) => `stty cols 80 rows 24; exec '${process.execPath}' '${MAIN}' ${args}`

  it('colours what matters, and not with NO_COLOR', async () => {
    const coloured = await onTerminal(command('top'), env)
    assert.ok(coloured.shown.includes('\x1b[31mbanned\x1b[39m'))
    const plain = await onTerminal(command('top'), { ...env, NO_COLOR: '1' })
    assert.ok(plain.shown.includes('banned'))
    assert.ok(!plain.shown.includes('\x1b['))
  })

  it('fits 80 columns', async () => {
    const { shown } = await onTerminal(command('flows'), { ...env, NO_COLOR: '1' })
    const tooLong = shown.split('\r\n').filter((line) => line.length > 80)
    assert.deepEqual(tooLong, [])
    assert.match(shown, /203\.0\.113\.5:4444/)
  })

  it('redraws top --watch in place until Ctrl-C, which is no error', async () => {
    const pictures = /ADDRESS[\s\S]*ADDRESS/
    const watching = command('top --watch --interval 100ms')
    const { shown, status } = await onTerminal(watching, env, { after: pictures, press: '\x03' })
    assert.equal(status, 0)
    // Cleared once, then each picture over the last one, the rest of each line and of the screen wiped.
    assert.equal(shown.split('\x1b[2J').length, 2)
    assert.ok(shown.split('\x1b[H').length > 2)
    assert.ok(shown.includes('\x1b[K') && shown.includes('\x1b[J'))
  })
})
