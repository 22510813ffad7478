// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { ROOT } from '../lab/root.js'

const HOOKS = join(ROOT, 'scripts', 'hooks')
const NAMES = readdirSync(HOOKS).filter((name) => {
  const file = statSync(join(HOOKS, name))
  return file.isFile() && (file.mode & 0o111) !== 0
})
const ADDRESS = '203.0.113.10'

/** Nothing is announced here: each call ends before its speaker is asked. */
function run(hook: string, args: readonly string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(join(HOOKS, hook), args, {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], ...env },
  })
  return { status, stdout, stderr }
}

describe('a hook that root and the aggregator run in turn', () => {
  const NOBODY = 65534
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-turns-'))
  after(() => rmSync(folder, { recursive: true }))
  const options = process.getuid?.() === 0 ? {} : { skip: 'needs root, to be two users' }

  it('is stopped by nothing that the other one made', options, () => {
    chmodSync(folder, 0o755)
    // As /run/lock: everybody may make files, and nobody opens another's for writing (fs.protected_regular).
    const locks = join(folder, 'locks')
    mkdirSync(locks)
    chmodSync(locks, 0o1777)
    const state = join(folder, 'state')
    mkdirSync(state)
    chownSync(state, NOBODY, NOBODY)
    const fifo = join(folder, 'fifo')
    spawnSync('mkfifo', ['-m', '666', fifo])
    const env = {
      PATH: process.env['PATH'],
      EXABGPCLI: '/bin/true',
      EXABGP_LOCK: join(locks, 'lock'),
      EXABGP_FIFO: fifo,
      EXABGP_FOLDER: state,
      FLOWSPEC_FOLDER: state,
    }
    const reader = spawn('sh', ['-c', 'while :; do cat "$1"; done', 'sh', fifo], {
      stdio: 'ignore',
      detached: true,
    })
    try {
      for (const users of [
        [0, NOBODY],
        [NOBODY, 0, NOBODY],
      ]) {
        for (const hook of ['exabgp-cli', 'exabgp-flowspec', 'exabgp-fifo']) {
          for (const uid of users) {
            for (const action of ['ban', 'unban']) {
              const ended = spawnSync(join(HOOKS, hook), [ADDRESS, 'incoming', '1', action], {
                encoding: 'utf8',
                env,
                uid,
                gid: uid,
              })
              assert.equal(ended.status, 0, `${hook} ${action} of ${uid}: ${ended.stderr}`)
            }
          }
        }
        for (const file of readdirSync(locks)) rmSync(join(locks, file))
      }
      writeFileSync(env.EXABGP_LOCK, '', { mode: 0o600 })
      const args = [ADDRESS, 'incoming', '1', 'ban']
      const shut = spawnSync(join(HOOKS, 'exabgp-cli'), args, {
        encoding: 'utf8',
        env,
        uid: NOBODY,
        gid: NOBODY,
      })
      assert.deepEqual(
        [shut.status, shut.stderr],
        [1, `exabgp-cli hook: cannot open the lock ${env.EXABGP_LOCK}\n`],
      )
    } finally {
      process.kill(-(reader.pid ?? 0), 'SIGKILL')
    }
  })
})

describe('every hook', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-settings-'))
  const config = join(folder, 'hook.conf')
  after(() => rmSync(folder, { recursive: true }))

  it('is one of these', () => {
    assert.deepEqual(NAMES.toSorted(), [
      'bird',
      'exabgp-cli',
      'exabgp-fifo',
      'exabgp-flowspec',
      'exabgp-pipe',
      'frr',
      'gobgp',
      'gobgp-flowspec',
      'nftables',
    ])
  })

  for (const name of NAMES) {
    it(`${name}: its help names every setting of its own`, () => {
      const { status, stdout, stderr } = run(name, ['--help'])
      assert.deepEqual([status, stderr], [0, ''])
      const settings = /^settings='(.*)'$/m.exec(readFileSync(join(HOOKS, name), 'utf8'))?.[1] ?? ''
      assert.notEqual(settings, '')
      for (const setting of settings.split(' ')) assert.match(stdout, new RegExp(`^  ${setting} `, 'm'))
    })

    it(`${name}: refuses wrong arguments with status 2`, () => {
      for (const args of [
        [],
        [ADDRESS, 'incoming', 'ban'],
        [ADDRESS, 'incoming', '1', 'banish'],
        ['ban', ''],
        ['ban', `${ADDRESS}\n203.0.113.11`],
        ['ban', `${ADDRESS} reject`],
        ['ban', '203.0.113.10/24'],
        ['resync', '--all'],
        ['--config'],
      ]) {
        const { status, stderr } = run(name, args)
        assert.equal(status, 2, JSON.stringify(args))
        assert.match(stderr, new RegExp(`^${name} hook: `))
      }
    })

    it(`${name}: names file and line of a setting that it cannot read, and executes nothing`, () => {
      const trap = join(folder, 'trap')
      const lines: [string, RegExp][] = [
        ['COMUNITIES=65535:666', /hook\.conf:2: no setting is called COMUNITIES/],
        [`touch ${trap}`, /hook\.conf:2: not NAME=value/],
        [`X $(touch ${trap})=1`, /hook\.conf:2: not the name of a setting/],
        [`NEXT_HOP_4 NEXT_HOP_6=1`, /hook\.conf:2: not the name of a setting/],
        [`PATH=/tmp`, /hook\.conf:2: no setting is called PATH/],
      ]
      for (const [line, message] of lines) {
        writeFileSync(config, `# a comment\n${line}\n`)
        const { status, stderr } = run(name, ['--config', config, 'ban', ADDRESS])
        assert.equal(status, 2, line)
        assert.match(stderr, message)
      }
      assert.deepEqual(readdirSync(folder), ['hook.conf'])
    })

    it(`${name}: says that the named configuration is not there`, () => {
      const variable = `FLOWDAM_${name.toUpperCase().replace('-', '_')}_CONF`
      for (const { status, stderr } of [
        run(name, ['--config', '/no/such.conf', 'ban', ADDRESS]),
        run(name, ['ban', ADDRESS], { [variable]: '/no/such.conf' }),
      ]) {
        assert.equal(status, 2)
        assert.match(stderr, /\/no\/such\.conf does not exist/)
      }
    })
  }

  const wrong: readonly [string, string, RegExp][] = [
    ['COMMUNITIES', '65536:1', /COMMUNITIES: not a community: '65536:1'/],
    ['COMMUNITIES', '1:2:3', /COMMUNITIES: not a community: '1:2:3'/],
    ['COMMUNITIES', ',', /COMMUNITIES: there must be one/],
    ['MORE_COMMUNITIES', 'no-such-name', /MORE_COMMUNITIES: not a community: 'no-such-name'/],
    ['LARGE_COMMUNITIES', '1:2', /LARGE_COMMUNITIES: not a community: '1:2'/],
    ['LARGE_COMMUNITIES', '1:2:4294967296', /LARGE_COMMUNITIES: not a community/],
    ['NEXT_HOP_4', '2001:db8::1', /NEXT_HOP_4: not an IPv4 address/],
    ['NEXT_HOP_4', '192.0.2.0/24', /NEXT_HOP_4: not an IPv4 address/],
    ['NEXT_HOP_6', '192.0.2.1', /NEXT_HOP_6: not an IPv6 address/],
    ['FAMILIES', '5', /FAMILIES: not 4, 6, or 4 6: '5'/],
    ['LOCAL_PREF', '-1', /LOCAL_PREF: not a number/],
    ['LOCAL_PREF', '4294967296', /LOCAL_PREF: not a number/],
  ]
  for (const [setting, value, message] of wrong) {
    it(`that announces routes refuses ${setting}=${value}`, () => {
      for (const name of NAMES.filter((one) => one !== 'nftables' && !one.endsWith('flowspec'))) {
        writeFileSync(config, `${setting}='${value}'\n`)
        const { status, stderr } = run(name, ['--config', config, 'ban', ADDRESS])
        assert.equal(status, 2, name)
        assert.match(stderr, message)
      }
    })
  }

  const wrongRules: readonly [string, string, RegExp][] = [
    ['FLOWSPEC_ACTION', 'drop', /FLOWSPEC_ACTION: discard, or rate-limit and a number/],
    ['FLOWSPEC_ACTION', 'rate-limit 1M', /FLOWSPEC_ACTION, bytes per second: not a number/],
    ['MORE_COMMUNITIES', '1', /MORE_COMMUNITIES: not a community/],
    ['FLOWSPEC_FOLDER', '/proc/none', /FLOWSPEC_FOLDER: \/proc\/none is no folder/],
  ]
  for (const [setting, value, message] of wrongRules) {
    it(`that announces rules refuses ${setting}=${value}`, () => {
      for (const name of NAMES.filter((one) => one.endsWith('flowspec'))) {
        writeFileSync(config, `${setting}='${value}'\n`)
        const { status, stderr } = run(name, ['--config', config, 'ban', ADDRESS])
        assert.equal(status, 2, name)
        assert.match(stderr, message)
      }
    })
  }

  it('that announces rules refuses a match that it does not know', () => {
    writeFileSync(config, `FLOWSPEC_FOLDER=${folder}\n`)
    for (const match of [
      'protocol',
      'protocol 256',
      'tcp-flags ack',
      'dscp 3',
      'protocol 17;id',
      'source-port -1',
    ])
      for (const name of NAMES.filter((one) => one.endsWith('flowspec'))) {
        const { status, stderr } = run(name, ['--config', config, 'ban', ADDRESS], { FLOWDAM_MATCH: match })
        assert.equal(status, 2, match)
        assert.match(stderr, /FLOWDAM_MATCH: not /)
      }
  })
})
