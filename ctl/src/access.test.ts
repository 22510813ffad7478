// SPDX-License-Identifier: Apache-2.0
//
// Tokens, the configuration, the audit log and the live views, as processes against a fake aggregator.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { FakeAggregator } from './testing/fake-aggregator.js'
import { runCommand, startCommand } from './testing/run-command.js'

describe('flowdam and tokens', { timeout: 300_000 }, () => {
  const aggregator = new FakeAggregator()
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-ctl-'))
  const on = (args: string[], env: NodeJS.ProcessEnv = {}) =>
    runCommand([...args, '--server', aggregator.address], env)

  before(() => aggregator.start())
  after(() => {
    aggregator.stop()
    rmSync(folder, { recursive: true })
  })

  it('sends the token of a file, or else of the environment, with calls and watches', async () => {
    const file = join(folder, 'token')
    writeFileSync(file, 'of-the-file\n')
    await on(['status'], { FLOWDAM_TOKEN: 'of-the-environment' })
    assert.equal(aggregator.tokens.at(-1), 'Bearer of-the-environment')
    await on(['status', '--token-file', file], { FLOWDAM_TOKEN: 'of-the-environment' })
    assert.equal(aggregator.tokens.at(-1), 'Bearer of-the-file')
    const watch = startCommand(['watch', 'host', '203.0.113.5', '--server', aggregator.address], {
      FLOWDAM_TOKEN: 'of-a-watch',
    })
    await watch.printed(/in .*pps/)
    watch.child.kill('SIGTERM')
    assert.equal((await watch.finished).status, 0)
    assert.equal(aggregator.tokens.at(-1), 'Bearer of-a-watch')
    await on(['status'])
    assert.equal(aggregator.tokens.at(-1), undefined)
  })

  it('sends none in plaintext to another machine', async () => {
    const { status, stderr } = await runCommand(['status', '--server', '192.0.2.1:1', '--timeout', '100ms'], {
      FLOWDAM_TOKEN: 'secret',
    })
    assert.equal(status, 2)
    assert.match(stderr, /in plaintext/)
    assert.ok(!stderr.includes('secret'))
  })

  it('makes tokens: what is shown once, and the line of its hash', async () => {
    const { stdout } = await runCommand([
      'token',
      'create',
      'noc',
      '--role',
      'operate',
      '--until',
      '2027-01-31',
    ])
    const [, token = '', line = ''] = /^token {2}(\S+)\n.*\nline {3}(.*)\n$/.exec(stdout) ?? []
    assert.equal(
      line,
      `noc operate sha256:${createHash('sha256').update(token).digest('hex')} until=2027-01-31`,
    )
    assert.ok(token.length > 40)
    const out = join(folder, 'noc.token')
    const written = await runCommand(['token', 'create', 'noc', '--role', 'read', '--out', out])
    assert.equal(written.status, 0)
    assert.equal(statSync(out).mode & 0o777, 0o600)
    assert.ok(!written.stdout.includes(readFileSync(out, 'utf8').trim()))
    assert.equal((await runCommand(['token', 'create', 'noc', '--role', 'read', '--out', out])).status, 2)
    assert.equal((await runCommand(['token', 'create', 'noc', '--role', 'root'])).status, 2)
  })

  it('config shows what is in force, and says of a file where it is wrong', async () => {
    assert.match((await on(['config', 'show'])).stdout, /^# aggregator\.yaml, read at .*\nnetworks:/)
    const file = join(folder, 'aggregator.yaml')
    writeFileSync(file, 'good: yes\n')
    const good = await on(['config', 'validate', file])
    assert.deepEqual([good.status, good.stdout], [0, 'ban.duration: 30m → 1h\n'])
    writeFileSync(file, 'bad: yes\n')
    const bad = await on(['config', 'validate', file])
    assert.equal(bad.status, 1)
    assert.equal(bad.stdout, `${file}:1:1: bad: unknown key\n`)
    assert.equal((await on(['config', 'validate', join(folder, 'none.yaml')])).status, 2)
  })

  it('audit shows who did what, page after page', async () => {
    const { stdout } = await on(['audit', '--limit', '3'])
    assert.match(stdout, /token:noc .*AddBan .*done/)
    assert.match(stdout, /unknown .*RemoveBan .*FD_API_UNAUTHENTICATED/)
    assert.equal(stdout.trim().split('\n').length, 4)
    const asked = aggregator.asked.filter(({ method }) => method === 'ListAudit')
    assert.equal(asked.length, 2)
  })

  for (const [view, pattern] of [
    ['bans', /active .*203\.0\.113\.5/],
    ['attacks', /state .*203\.0\.113\.5/],
    ['top', /ADDRESS/],
  ] as const) {
    it(`watch ${view} prints lines into a pipe, without escape sequences`, async () => {
      const watch = startCommand(['watch', view, '--server', aggregator.address])
      const text = await watch.printed(pattern)
      assert.ok(!text.includes('\x1b'))
      watch.child.kill('SIGTERM')
      assert.equal((await watch.finished).status, 0)
    })
  }
})
