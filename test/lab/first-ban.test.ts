// SPDX-License-Identifier: Apache-2.0
//
// docs/first-ban.md as a newcomer follows it: every command of the page, in its order, in one shell.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { ROOT } from '@flowdam/scripts/lab/root'

interface Step {
  title: string
  commands: string
}

/** The page waits in loops without an end; a person has Ctrl-C. It takes 30 s, longer on a busy machine. */
const LIMIT_S = 600

// Process ids, mounts and so the names of network namespaces are its own: nothing of it outlives the shell, and the
// namespaces of somebody who follows the page meanwhile are others.
const OWN_WORLD = [
  '--pdeathsig',
  'KILL',
  'unshare',
  '--mount',
  '--pid',
  '--fork',
  '--mount-proc',
  '--kill-child=SIGKILL',
]
const OWN_NAMES = 'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns'
const FOLDER = join(ROOT, 'build/first-ban')
const BETWEEN = '--- step '

describe('docs/first-ban.md, every command as it is', () => {
  const steps = readSteps(readFileSync(join(ROOT, 'docs/first-ban.md'), 'utf8'))
  let printed: string[] = []
  const after = (title: string): string => {
    const index = steps.findIndex((step) => step.title.includes(title))
    assert.notEqual(index, -1, `the page has no step '${title}'`)
    return printed[index] ?? ''
  }

  before(async () => {
    // Of a run that was killed.
    rmSync(FOLDER, { recursive: true, force: true })
    printed = await follow(steps)
  })

  it('puts the route with BLACKHOLE into the table of the second router', () => {
    assert.match(
      after('The route'),
      /^\*> 203\.0\.113\.10\/32 +192\.0\.2\.1 +64500 .*\{Communities: blackhole\}/m,
    )
  })

  it('shows the ban with a hook that went well, the attack, and the flows', () => {
    const shown = after('The route')
    assert.match(shown, /^State +banned$/m)
    assert.match(shown, /^gobgp +ban +1 .* ok$/m)
    assert.match(shown, /^203\.0\.113\.10 +incoming +udp_flood /m)
    assert.match(shown, /^Banned as 203\.0\.113\.10\/32 because /m)
  })

  it('has the flows of the flood in the store', () => {
    assert.match(
      after('The route'),
      / udp +198\.51\.100\.\d+:\d+ +203\.0\.113\.10:\d+ .* edge1 uplink ingress$/m,
    )
  })

  it('withdraws the route', () => {
    assert.match(after('Withdraw'), /^unbanned 203\.0\.113\.10\/32/m)
    assert.match(after('Withdraw'), /^Network not in table$/m)
  })

  it('leaves nothing behind', () => {
    assert.equal(existsSync(FOLDER), false)
  })
})

/** The blocks of shell below each heading. */
function readSteps(page: string): Step[] {
  return page
    .split(/^## /m)
    .map((section) => ({
      title: section.slice(0, section.indexOf('\n')),
      commands: [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join(''),
    }))
    .filter(({ commands }) => commands !== '')
}

/** Runs the steps in one shell that stops at the first failure; what each printed. */
function follow(steps: readonly Step[]): Promise<string[]> {
  const script = steps.map(({ title, commands }) => `echo '${BETWEEN}${title}'\n${commands}`).join('\n')
  const args = [...OWN_WORLD, 'bash', '-euc', `${OWN_NAMES}\n${script}`]
  return new Promise((resolve, reject) => {
    const options = {
      cwd: ROOT,
      maxBuffer: 16 << 20,
      timeout: LIMIT_S * 1000,
      killSignal: 'SIGKILL',
    } as const
    execFile('setpriv', args, options, (error, stdout, stderr) => {
      if (error) return reject(new Error(`${error.message.slice(0, 80)}…\n${stdout}\n${stderr}`))
      const parts = stdout.split(new RegExp(`^${BETWEEN}.*\n`, 'm')).slice(1)
      resolve(parts)
    })
  })
}
