// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { command } from '@flowdam/scripts/lab/commands'
import { ROOT } from '@flowdam/scripts/lab/root'
import { waitFor } from '@flowdam/scripts/lab/wait'

const PROGRAM = `
import { mkdirSync } from 'node:fs'
import { command } from '${ROOT}/scripts/dist/lab/commands.js'
import { LabNetwork } from '${ROOT}/scripts/dist/lab/network.js'
import { Speaker } from '${ROOT}/scripts/dist/lab/gobgp.js'
const network = new LabNetwork()
await network.start()
const speaker = new Speaker(network, 'edge')
await speaker.start()
mkdirSync(network.folder + '/mount')
await command('mount', ['-t', 'tmpfs', 'tmpfs', network.folder + '/mount'])
console.log(network.folder)
setInterval(() => {}, 1000)
`

describe('a lab whose process is killed', () => {
  it('leaves no namespace, process, mount or folder', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [folder] = (await once(createInterface(child.stdout), 'line')) as [string]
    const prefix = `fd${child.pid}-`
    const namespaces = async () =>
      (await command('ip', ['netns'])).split('\n').filter((name) => name.startsWith(prefix))
    assert.equal((await namespaces()).length, 4)
    const pids = (await command('ip', ['netns', 'pids', `${prefix}edge`])).trim().split('\n').filter(Boolean)
    assert.equal(pids.length, 1)

    child.kill('SIGKILL')
    await once(child, 'exit')
    await waitFor('the guard to clean up', async () => {
      const left = await namespaces()
      return left.length === 0 && !existsSync(folder) ? true : undefined
    })
    // It was killed before its namespace went; the kernel takes a moment to take it down.
    await waitFor('gobgpd to be gone', () => (existsSync(`/proc/${pids[0]}/exe`) ? undefined : true))
  })
})
