// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { ROOT } from '../lab/root.js'

const HOOK = join(ROOT, 'scripts', 'hooks', 'gobgp')

describe('the gobgp hook', () => {
  let folder = ''
  let calls = ''

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flowdam-hook-'))
    calls = join(folder, 'calls')
    fake('#!/bin/sh\necho "$@" >> "$CALLS"\n')
  })

  afterEach(() => rmSync(folder, { recursive: true }))

  /** A gobgp that writes down how it is called. */
  function fake(script: string): void {
    writeFileSync(join(folder, 'gobgp'), script)
    chmodSync(join(folder, 'gobgp'), 0o755)
  }

  function hook(args: readonly string[], env: Record<string, string> = {}, input = '') {
    const { status, stderr, stdout } = spawnSync(HOOK, args, {
      encoding: 'utf8',
      input,
      env: { PATH: process.env['PATH'], CALLS: calls, GOBGP: join(folder, 'gobgp'), ...env },
    })
    const called = existsSync(calls) ? readFileSync(calls, 'utf8').trimEnd().split('\n') : []
    return { status, stderr, stdout, called }
  }

  it('announces an IPv4 address as /32 with the BLACKHOLE community of RFC 7999', () => {
    const { status, called, stderr } = hook(
      ['203.0.113.10', 'incoming', '104233', 'ban'],
      {},
      'IP: 203.0.113.10\n',
    )
    assert.deepEqual(called, [
      '-u 127.0.0.1 -p 50051 global rib add 203.0.113.10/32 nexthop 192.0.2.1 community 65535:666 -a ipv4',
    ])
    assert.deepEqual([status, stderr], [0, ''])
  })

  it('announces an IPv6 address as /128 with a next hop of its own family', () => {
    const { status, called } = hook(['2001:db8:1::a', 'outgoing', '1', 'ban'])
    assert.deepEqual(called, [
      '-u 127.0.0.1 -p 50051 global rib add 2001:db8:1::a/128 nexthop 100::1 community 65535:666 -a ipv6',
    ])
    assert.equal(status, 0)
  })

  it('withdraws, and takes a prefix as it is', () => {
    assert.deepEqual(hook(['203.0.113.0/25', 'incoming', '0', 'unban']).called, [
      '-u 127.0.0.1 -p 50051 global rib del 203.0.113.0/25 -a ipv4',
    ])
  })

  it('reads its settings from the file, which wins over the environment', () => {
    const conf = join(folder, 'gobgp.conf')
    writeFileSync(
      conf,
      "GOBGP_API='[::1]:50055'\nNEXT_HOP_4=192.0.2.66\nMORE_COMMUNITIES=no-export,64500:1\nLOCAL_PREF=200\n",
    )
    const { called } = hook(['203.0.113.10', 'incoming', '1', 'ban'], {
      FLOWDAM_GOBGP_CONF: conf,
      NEXT_HOP_4: '192.0.2.99',
    })
    assert.deepEqual(called, [
      '-u ::1 -p 50055 global rib add 203.0.113.10/32 nexthop 192.0.2.66 community 65535:666,65535:65281,64500:1 local-pref 200 -a ipv4',
    ])
  })

  it('shows the first line of what gobgp says, and fails with status 1', () => {
    fake('#!/bin/sh\necho "rpc error: connection refused"\necho usage...\nexit 1\n')
    const { status, stderr } = hook(['203.0.113.10', 'incoming', '1', 'ban'])
    assert.equal(status, 1)
    assert.match(stderr, /^gobgp hook: gobgp global rib add .*: rpc error: connection refused\n$/)
  })

  it('takes whatever gobgp prints as an error, even with status 0', () => {
    fake('#!/bin/sh\necho "invalid nexthop"\n')
    assert.equal(hook(['203.0.113.10', 'incoming', '1', 'unban']).status, 1)
  })

  const wrong: readonly [string, readonly string[], RegExp][] = [
    ['too few arguments', ['203.0.113.10', 'incoming', 'ban'], /needs four arguments/],
    ['an unknown action', ['203.0.113.10', 'incoming', '1', 'attack_details'], /ban or unban/],
    ['an option in place of the address', ['-u', 'incoming', '1', 'ban'], /not an address/],
    ['a name in place of the address', ['all', 'incoming', '1', 'ban'], /not an address/],
    ['an empty address', ['', 'incoming', '1', 'ban'], /not an address/],
    ['an address with a second word', ['203.0.113.10 x', 'incoming', '1', 'ban'], /not an address/],
  ]
  for (const [title, args, message] of wrong) {
    it(`refuses ${title} with status 2 and calls nothing`, () => {
      const { status, stderr, called } = hook(args)
      assert.equal(status, 2)
      assert.match(stderr, message)
      assert.deepEqual(called, [])
    })
  }

  it('says so when gobgp or the named configuration file is not there', () => {
    const ban = ['203.0.113.10', 'incoming', '1', 'ban']
    assert.match(hook(ban, { GOBGP: 'no-such-gobgp' }).stderr, /there is no 'no-such-gobgp' command/)
    assert.match(hook(ban, { FLOWDAM_GOBGP_CONF: '/no/such.conf' }).stderr, /does not exist/)
  })

  it('explains itself', () => {
    const { status, stdout } = hook(['--help'])
    assert.equal(status, 0)
    assert.match(stdout, /GOBGP_API/)
  })

  /** A gobgp that keeps routes as files, and bans in a file whose list another process changes as soon as it was read. */
  function living(announced: readonly string[], bans: readonly string[], meanwhile: readonly string[]) {
    const rib = join(folder, 'rib')
    mkdirSync(rib)
    for (const prefix of announced) writeFileSync(join(rib, prefix.replace('/', '_')), '')
    writeFileSync(join(folder, 'bans'), bans.map((prefix) => `${prefix}\n`).join(''))
    fake(`#!/bin/sh
shift 4
case $3 in
add | del)
  file=${rib}/$(echo "$4" | tr / _)
  if [ "$3" = add ]; then : > "$file"; else rm -f "$file"; fi ;;
-a)
  [ "$4" = ipv4 ] || { echo 'Network not in table'; exit 1; }
  for file in ${rib}/*; do
    [ -e "$file" ] || { echo 'Network not in table'; exit 1; }
    echo "*> $(basename "$file" | tr _ /) 192.0.2.1 00:00:01 [{Origin: ?} {Communities: blackhole}]"
  done ;;
esac
`)
    const change = (line: string) => {
      const [action, prefix] = line.split(' ')
      const edit =
        action === 'ban' ? `echo ${prefix} >> bans` : `grep -v '^${prefix}$' bans > rest; mv rest bans`
      // As the aggregator does: the book first, then the hook.
      return `${edit}; '${HOOK}' ${action} ${prefix}`
    }
    const list = join(folder, 'list')
    const turns = meanwhile.map((line, turn) => `${turn}) ${line === '' ? ':' : change(line)} ;;`)
    writeFileSync(
      list,
      `#!/bin/sh
cd ${folder}
cat bans
turn=$(cat turn 2>/dev/null || echo 0)
echo $((turn + 1)) > turn
exec > /dev/null
case $turn in ${turns.join(' ')} esac
`,
    )
    chmodSync(list, 0o755)
    const done = hook(['resync', '--list', list])
    const routes = readdirSync(rib).map((name) => name.replace('_', '/'))
    const inForce = readFileSync(join(folder, 'bans'), 'utf8').split('\n').filter(Boolean)
    return { ...done, routes: routes.sort(), inForce: inForce.sort() }
  }

  const [A, B, C] = ['203.0.113.1/32', '203.0.113.2/32', '203.0.113.3/32'] as const
  for (const [title, announced, bans, meanwhile] of [
    ['nothing else happens', [A, B], [B, C], []],
    ['a ban comes', [A], [A], [`ban ${B}`]],
    ['a ban ends that it announces', [], [A, B], [`unban ${A}`]],
    ['a ban ends that it keeps', [A, B], [A, B], [`unban ${A}`]],
    ['what it withdraws is banned again', [A, B], [B], [`ban ${A}`]],
    ['bans come and end and come', [C], [A, B], [`unban ${A}`, `ban ${A}`, `unban ${B}`, '', `ban ${C}`]],
    ['the last ban ends', [A], [A], [`unban ${A}`]],
  ] as const) {
    it(`resync --list leaves what is banned in the end when ${title}`, () => {
      const { status, stderr, routes, inForce } = living(announced, bans, meanwhile)
      assert.deepEqual([status, stderr], [0, ''])
      assert.deepEqual(routes, inForce)
    })
  }

  it('resync changes nothing when the command for the list fails', () => {
    const { status, stderr } = hook(['resync', '--list', 'echo 203.0.113.1; exit 3'])
    assert.deepEqual([status, stderr], [1, "gobgp hook: --list: 'echo 203.0.113.1; exit 3' failed\n"])
    assert.ok(!readFileSync(calls, 'utf8').includes(' add '))
    assert.equal(hook(['resync', '--list', '']).status, 2)
  })
})
