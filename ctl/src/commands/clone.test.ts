// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Command } from 'commander'
import { runCommand } from '../testing/run-command.js'
import { benchCommand, labCommand } from './clone.js'

describe('lab and bench', () => {
  const clone = mkdtempSync(join(tmpdir(), 'flowdam-clone-'))
  before(() => {
    for (const [name, status] of [
      ['lab', 1],
      ['bench', 0],
    ] as const) {
      const folder = join(clone, 'scripts/dist', name)
      mkdirSync(folder, { recursive: true })
      const script = `console.log(JSON.stringify(process.argv.slice(2))); console.error('${name} was here'); process.exitCode = ${status}`
      writeFileSync(join(folder, 'main.js'), script)
    }
  })
  after(() => rmSync(clone, { recursive: true }))

  /** Runs a command line against the scripts of `where`. */
  async function outcome(args: readonly string[], where = clone) {
    const written = { stdout: '', stderr: '' }
    const collect = (name: keyof typeof written) => ({
      write: (text: string) => {
        written[name] += text
        return true
      },
    })
    const world = { stdout: collect('stdout'), stderr: collect('stderr'), env: {}, now: () => 0 }
    let status: number | undefined
    const exitWith = (value: number) => {
      status = value
    }
    const program = new Command('flowdam').option('--json').exitOverride()
    program.addCommand(labCommand(world, exitWith, where)).addCommand(benchCommand(world, exitWith, where))
    await program.parseAsync([...args], { from: 'user' })
    return { ...written, status }
  }

  it('hand on their options, their output and their verdict', async () => {
    assert.deepEqual(await outcome(['lab', '--flood', '7', '--json']), {
      stdout: '["--json","--flood","7"]\n',
      stderr: 'lab was here\n',
      status: 1,
    })
    assert.deepEqual(await outcome(['--json', 'bench', 'drain', 'xdp.cost.1', '--rows', '1000']), {
      stdout: '["--json","-","--rows","1000","--","drain","xdp.cost.1"]\n',
      stderr: 'bench was here\n',
      status: 0,
    })
  })

  it('say what is needed where there is no clone', async () => {
    await assert.rejects(outcome(['lab'], join(clone, 'elsewhere')), {
      code: 'FD_NO_CLONE',
      remedy: /npm run setup/,
    })
  })

  it('know this clone: a figure that does not exist is named', async () => {
    const { status, stderr } = await runCommand(['bench', 'no.such.figure'])
    assert.match(stderr, /^bench: unknown figure 'no\.such\.figure'$/m)
    assert.equal(status, 2)
  })
})
