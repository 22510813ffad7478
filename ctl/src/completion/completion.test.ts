// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { before, describe, it } from 'node:test'
import { runInProcess } from '../testing/run-command.js'

/** What bash offers at the end of `line`. */
function complete(script: string, line: string): string[] {
  const words = line.split(' ')
  const quoted = words.map((word) => `'${word}'`).join(' ')
  const { stdout, stderr } = spawnSync('bash', [
    '--norc',
    '-c',
    `${script}
COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}
_flowdam; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ])
  assert.equal(stderr.toString(), '')
  return stdout
    .toString()
    .split('\n')
    .filter((word) => word !== '')
}

describe('completion bash, in a real bash', () => {
  let script: string

  before(async () => {
    script = (await runInProcess(['completion', 'bash'])).stdout
  })

  it('offers commands, then subcommands', () => {
    assert.deepEqual(complete(script, 'flowdam '), [
      'status',
      'agents',
      'top',
      'host',
      'explain',
      'bans',
      'attacks',
      'baseline',
      'flows',
      'talkers',
      'watch',
      'config',
      'audit',
      'token',
      'doctor',
      'import',
      'lab',
      'bench',
      'completion',
    ])
    assert.deepEqual(complete(script, 'flowdam bans '), [
      'list',
      'show',
      'add',
      'remove',
      'watch',
      'pause',
      'resume',
    ])
    assert.deepEqual(complete(script, 'flowdam --json bans rem'), ['remove'])
  })

  it("offers a command's own options and the global ones", () => {
    const offered = complete(script, 'flowdam bans add 203.0.113.5 --')
    for (const option of ['--duration', '--reason', '--json', '--server'])
      assert.ok(offered.includes(option), option)
    assert.ok(!offered.includes('--aggregate'))
  })

  it("offers an option's values where they are known, and nothing where they are not", () => {
    assert.deepEqual(complete(script, 'flowdam top --by '), ['pps', 'bps', 'flows'])
    assert.deepEqual(complete(script, 'flowdam flows -o p'), ['packets'])
    assert.deepEqual(complete(script, 'flowdam top --limit '), [])
    assert.deepEqual(complete(script, 'flowdam completion '), ['bash', 'zsh', 'fish'])
  })
})

describe('completion zsh', () => {
  const zsh = spawnSync('zsh', ['--version']).error === undefined

  it('is a script that zsh accepts', { skip: zsh ? false : 'zsh is not installed' }, async () => {
    const { stdout: script } = await runInProcess(['completion', 'zsh'])
    const { stderr, status } = spawnSync('zsh', ['-n'], { input: script })
    assert.deepEqual([stderr.toString(), status], ['', 0])
  })

  it('quotes descriptions with apostrophes and colons', async () => {
    const { stdout: script } = await runInProcess(['completion', 'zsh'])
    assert.match(script, /'--server:the aggregator'\\''s API'/)
    assert.match(script, /'bans:the bans\\: list \(the default\)/)
  })
})

describe('completion fish', () => {
  const fish = spawnSync('fish', ['--version']).error === undefined

  it('offers what bash does, in a real fish', { skip: fish ? false : 'fish is not installed' }, async () => {
    const { stdout: script } = await runInProcess(['completion', 'fish'])
    const offered = (line: string) => {
      const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', `${script}\ncomplete -C '${line}'`])
      assert.equal(stderr.toString(), '')
      return stdout
        .toString()
        .split('\n')
        .map((word) => word.split('\t')[0])
        .filter((word) => word !== '')
    }
    assert.ok(offered('flowdam ').includes('completion'))
    const ofBans = ['add', 'list', 'pause', 'remove', 'resume', 'show', 'watch']
    assert.deepEqual(offered('flowdam bans ').sort(), ofBans)
    assert.deepEqual(offered('flowdam --server localhost:1 --json bans rem'), ['remove'])
    assert.deepEqual(offered('flowdam top --by '), ['bps', 'flows', 'pps'])
    assert.deepEqual(offered('flowdam flows --order p'), ['packets'])
    assert.deepEqual(offered('flowdam completion z'), ['zsh'])
    const options = offered('flowdam bans add 203.0.113.5 --')
    for (const option of ['--duration', '--reason', '--json', '--server'])
      assert.ok(options.includes(option), option)
    assert.ok(!options.includes('--aggregate'))
  })

  it('has a line for every option of every command, quoted', async () => {
    const { stdout: script } = await runInProcess(['completion', 'fish'])
    assert.match(script, /__flowdam_at \\'bans add\\'' -l duration -s t -x /)
    assert.match(script, /-l ca -rF -d 'TLS: the authority of the aggregator\\'s certificate'/)
  })
})
