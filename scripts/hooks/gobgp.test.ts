// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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
})
