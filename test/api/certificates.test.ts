// SPDX-License-Identifier: Apache-2.0
//
// Roles by client certificate, over real TLS connections: the aggregator as operators configure it, and the command.
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { TestDaemon, until } from '@flowdam/aggregator/internal/testing/daemon'
import { BanServiceClient } from '@flowdam/proto'
import { ROOT } from '@flowdam/scripts/lab/root'
import { credentials, type ServiceError, status } from '@grpc/grpc-js'

const COMMAND = join(ROOT, 'ctl', 'dist', 'main.js')
const TOKEN = 't'.repeat(40)

describe('client certificates and their roles', { timeout: 180_000 }, () => {
  const daemon = new TestDaemon()
  const at = (...names: string[]) => join(daemon.folder, ...names)
  let api: string

  const make = (ca: string, ...args: string[]) =>
    execFileSync(join(ROOT, 'scripts', 'lab-ca.sh'), [at(ca), ...args], { stdio: 'pipe' })
  const configure = (certificates: string) =>
    daemon.configure(`
networks: [203.0.113.0/24]
api:
  listen: 127.0.0.1:0
  tls: { ca: ${at('ca', 'ca.crt')}, cert: ${at('ca', 'api.crt')}, key: ${at('ca', 'api.key')} }
  tokens: ${at('tokens')}
  certificates: ${certificates}
hooks: [{ name: notify, run: [${daemon.hook}] }]
`)
  /** The command with this certificate: its exit status, and what it said. */
  const flowdam = (certificate: string[], args: string[], env: NodeJS.ProcessEnv = {}) =>
    new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      const tls = ['--ca', at('ca', 'ca.crt'), ...certificate]
      execFile(
        process.execPath,
        [COMMAND, '--server', api, ...tls, ...args],
        { env: { PATH: process.env['PATH'], USER: 'alice', ...env } },
        (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
      )
    })
  const as = (name: string, ca = 'ca') => ['--cert', at(ca, `${name}.crt`), '--key', at(ca, `${name}.key`)]
  const auditLines = () =>
    readFileSync(at('state', 'audit.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, string>)

  before(async () => {
    make('ca', 'ca')
    make('ca', 'aggregator', 'api', 'DNS:localhost')
    for (const name of ['dashboard', 'noc', 'stranger']) make('ca', 'client', name)
    make('ca', 'agent', 'edge1')
    make('foreign', 'ca')
    make('foreign', 'client', 'noc')
    const hash = createHash('sha256').update(TOKEN).digest('hex')
    writeFileSync(at('tokens'), `script read sha256:${hash}\n`)
    configure('{ dashboard: read, noc: operate }')
    await daemon.start()
    const started = await daemon.logged('aggregator started')
    api = String(started['api']).replace('127.0.0.1', 'localhost')
  })
  after(() => daemon.cleanUp())

  it('let each do what its role may, and the audit log names them', async () => {
    assert.equal((await flowdam(as('dashboard'), ['bans'])).code, 0)
    const refused = await flowdam(as('dashboard'), ['bans', 'add', '203.0.113.9'])
    assert.equal(refused.code, 1)
    assert.match(
      refused.stderr,
      /FD_API_ROLE: .*AddBan needs the role 'operate'; certificate:dashboard has 'read'/,
    )
    assert.equal((await flowdam(as('noc'), ['bans', 'add', '203.0.113.9'])).code, 0)
    assert.match((await flowdam(as('noc'), ['audit'])).stderr, /FD_API_ROLE.*certificate:noc has 'operate'/)
    const changes = auditLines().filter(({ method }) => method?.endsWith('/AddBan'))
    assert.deepEqual(
      changes.map(({ by, status }) => [by, status]),
      [
        ['certificate:dashboard', 'PERMISSION_DENIED'],
        ['certificate:noc', 'OK'],
      ],
    )
  })

  it('are not enough without a role: a stranger, an agent', async () => {
    for (const name of ['stranger', 'edge1']) {
      const { code, stderr } = await flowdam(as(name), ['status'])
      assert.equal(code, 1, name)
      assert.match(stderr, /FD_API_UNAUTHENTICATED/)
    }
  })

  it('give way to a token, where one is sent', async () => {
    const refused = await flowdam(as('noc'), ['bans', 'remove', '203.0.113.9'], { FLOWDAM_TOKEN: TOKEN })
    assert.match(refused.stderr, /FD_API_ROLE.*token:script has 'read'/)
    assert.equal((await flowdam(as('stranger'), ['status'], { FLOWDAM_TOKEN: TOKEN })).code, 0)
  })

  it('must be there, and of our authority, or there is no connection', async () => {
    for (const certificate of [[], as('noc', 'foreign')]) {
      const { code, stdout, stderr } = await flowdam(certificate, ['status', '--timeout', '20s'])
      assert.deepEqual([code, stdout], [3, ''])
      assert.match(stderr, /FD_UNREACHABLE/)
    }
  })

  it('lose their role at a reload, also in a watch that is open', async () => {
    const client = new BanServiceClient(
      api,
      credentials.createSsl(
        readFileSync(at('ca', 'ca.crt')),
        readFileSync(at('ca', 'noc.key')),
        readFileSync(at('ca', 'noc.crt')),
      ),
    )
    const watch = client.watchBans({})
    const ended = new Promise<ServiceError>((resolve) => watch.once('error', resolve))
    const first = new Promise((resolve) => watch.once('data', resolve))
    await Promise.race([first, ended])
    configure('{ dashboard: read }')
    daemon.signal('SIGHUP')
    const error = await ended
    client.close()
    assert.equal(error.code, status.UNAUTHENTICATED, error.details)
    await until('the refusal in the audit log', () =>
      auditLines().some(
        ({ by, method, status }) =>
          [by, method, status].join() === 'certificate:noc,flowdam.v1.BanService/WatchBans,UNAUTHENTICATED',
      ),
    )
    assert.equal((await flowdam(as('noc'), ['bans'])).code, 1)
    assert.equal((await flowdam(as('dashboard'), ['bans'])).code, 0)
  })
})
