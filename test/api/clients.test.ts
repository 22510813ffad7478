// SPDX-License-Identifier: Apache-2.0
//
// The real aggregator against a client of somebody else's: Debian's Python gRPC, which knows of our services only what
// reflection tells it. Tokens, roles, limits, TLS, error details, audit.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { TestDaemon } from '@flowdam/aggregator/internal/testing/daemon'
import { ROOT } from '@flowdam/scripts/lab/root'
import { type PythonAnswer, PythonClient, PythonCode } from './python.js'

const TOKENS = { read: 'r'.repeat(40), operate: 'o'.repeat(40), admin: 'a'.repeat(40), few: 'f'.repeat(40) }
const ADD = 'flowdam.v1.BanService/AddBan'
const LIST = 'flowdam.v1.BanService/ListBans'

describe('the API and a Python client', { timeout: 800_000 }, () => {
  const daemon = new TestDaemon()
  const code = new PythonCode()
  const clients: PythonClient[] = []
  let api: string
  let http: string
  let authority: string
  let python: PythonClient
  const auditLines = () =>
    readFileSync(join(daemon.folder, 'state', 'audit.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  const connect = (version = 'v1') => {
    const client = new PythonClient(code, api, { authority, version })
    clients.push(client)
    return client
  }
  const errorOf = ({ error }: PythonAnswer) => {
    assert.ok(error, 'it was answered')
    return error
  }

  const answerOf = ({ answer, error }: PythonAnswer) => {
    assert.ok(answer, error?.message)
    return answer
  }
  const listOf = (result: PythonAnswer, name: string) =>
    (answerOf(result)[name] ?? []) as Record<string, unknown>[]

  before(async () => {
    code.make()
    const ca = join(daemon.folder, 'ca')
    for (const args of [['ca'], ['aggregator', 'api', 'DNS:localhost']]) {
      execFileSync(join(ROOT, 'scripts', 'lab-ca.sh'), [ca, ...args], { stdio: 'pipe' })
    }
    authority = join(ca, 'ca.crt')
    const lines = Object.entries(TOKENS).map(([name, token]) => {
      const role = name === 'few' ? 'read' : name
      return `${name} ${role} sha256:${createHash('sha256').update(token).digest('hex')}`
    })
    const tokens = join(daemon.folder, 'tokens')
    writeFileSync(tokens, `${lines.join('\n')}\n`)
    daemon.configure(`
networks: [203.0.113.0/24]
exempt: [203.0.113.1]
api:
  listen: 127.0.0.1:0
  tls: { cert: ${ca}/api.crt, key: ${ca}/api.key }
  tokens: ${tokens}
  limits: { calls: 5, burst: 30, message: 16KiB }
hooks: [{ name: notify, run: [${daemon.hook}], env: { SECRET: hunter2 } }]
`)
    ;({ http } = await daemon.start())
    const started = await daemon.logged('aggregator started')
    api = String(started['api']).replace('127.0.0.1', 'localhost')
    python = connect()
    const { services } = await python.ask({ do: 'reflect', token: TOKENS.read })
    assert.ok(services)
  })
  after(async () => {
    for (const client of clients) client.close()
    await daemon.cleanUp()
    code.remove()
  })

  for (const version of ['v1', 'v1alpha']) {
    it(`finds every service by reflection ${version}`, async () => {
      const { services } = await connect(version).ask({ do: 'reflect', token: TOKENS.admin })
      const ours = ['Attack', 'Audit', 'Ban', 'Baseline', 'Config', 'Flow', 'Host', 'Status']
      for (const name of ours)
        assert.ok(services?.includes(`flowdam.v1.${name}Service`), `${name}: ${services}`)
    })
  }

  it('asks a health probe for no token', async () => {
    const health = async (service: string) => (await python.ask({ do: 'health', service })).status
    assert.equal(await health(''), 'SERVING')
    assert.equal(await health('flowdam.v1.BanService'), 'SERVING')
    assert.equal(errorOf(await python.ask({ do: 'health', service: 'nobody' })).code, 'NOT_FOUND')
  })

  it('refuses who has no token, a wrong one, or the wrong role, and says so in details', async () => {
    const request = { prefix: '203.0.113.9' }
    for (const token of [undefined, 'x'.repeat(40)]) {
      const error = errorOf(
        await python.ask({ do: 'call', method: ADD, request, ...(token !== undefined && { token }) }),
      )
      assert.equal(error.code, 'UNAUTHENTICATED')
      assert.deepEqual(error.details['ErrorInfo'], { reason: 'FD_API_UNAUTHENTICATED', domain: 'flowdam' })
    }
    const error = errorOf(await python.ask({ do: 'call', method: ADD, request, token: TOKENS.read }))
    assert.equal(error.code, 'PERMISSION_DENIED')
    assert.equal(error.details['ErrorInfo']?.['reason'], 'FD_API_ROLE')
    assert.equal(errorOf(await python.ask({ do: 'reflect' })).code, 'UNAUTHENTICATED')
  })

  it('bans and unbans with the role for it; the history says who', async () => {
    const added = await python.ask({
      do: 'call',
      method: ADD,
      token: TOKENS.operate,
      request: { prefix: '203.0.113.9', durationS: 60, reason: 'test', who: 'alice' },
    })
    const ban = added.answer?.['ban'] as Record<string, unknown>
    assert.deepEqual([ban['prefix'], ban['who'], ban['by']], ['203.0.113.9/32', 'alice', 'token:operate'])
    const watched = await python.ask({
      do: 'stream',
      method: 'flowdam.v1.BanService/WatchBans',
      token: TOKENS.read,
    })
    assert.equal(watched.first?.['event'], 'state')
    const removed = await python.ask({
      do: 'call',
      method: 'flowdam.v1.BanService/RemoveBan',
      token: TOKENS.admin,
      request: { target: '203.0.113.9' },
    })
    const ended = removed.answer?.['ban'] as Record<string, unknown>
    assert.deepEqual([ended['state'], ended['endedBy']], ['unbanned', 'token:admin'])
  })

  it('watches flows from the first message on, and says which filter is wrong', async () => {
    const watch = (request: object) =>
      python.ask({ do: 'stream', method: 'flowdam.v1.FlowService/WatchFlows', token: TOKENS.read, request })
    assert.deepEqual((await watch({ dst: '203.0.113.0/24', protocol: 17 })).first, {})
    const wrong = errorOf(await watch({ dst: 'nowhere' }))
    assert.equal(wrong.code, 'INVALID_ARGUMENT')
    assert.match(JSON.stringify(wrong.details['BadRequest']), /"field":"dst"/)
  })

  it('says which field is wrong, and what a guard rail forbids', async () => {
    const add = async (request: object) =>
      errorOf(await python.ask({ do: 'call', method: ADD, token: TOKENS.operate, request }))
    const bad = await add({ prefix: 'nonsense' })
    assert.equal(bad.code, 'INVALID_ARGUMENT')
    assert.match(JSON.stringify(bad.details['BadRequest']), /"field":"prefix"/)
    const exempt = await add({ prefix: '203.0.113.1' })
    assert.deepEqual(
      [exempt.code, exempt.details['ErrorInfo']?.['reason']],
      ['FAILED_PRECONDITION', 'FD_BAN_EXEMPT'],
    )
    assert.equal(
      (await add({ prefix: '203.0.113.9', who: 'detector' })).details['ErrorInfo']?.['reason'],
      'FD_ARGUMENT',
    )
  })

  it('refuses what is malformed or too large', async () => {
    const malformed = await python.ask({ do: 'call', method: ADD, token: TOKENS.operate, bytes: '0affff01' })
    assert.equal(errorOf(malformed).details['ErrorInfo']?.['reason'], 'FD_API_MALFORMED')
    const request = { prefix: '203.0.113.9', reason: 'x'.repeat(20_000) }
    const large = errorOf(await python.ask({ do: 'call', method: ADD, token: TOKENS.operate, request }))
    assert.deepEqual(
      [large.code, large.details['ErrorInfo']?.['reason']],
      ['RESOURCE_EXHAUSTED', 'FD_API_MESSAGE_SIZE'],
    )
    // Beyond what the transport takes at all.
    const huge = { prefix: '203.0.113.9', reason: 'x'.repeat(200_000) }
    assert.equal(
      errorOf(await python.ask({ do: 'call', method: ADD, token: TOKENS.operate, request: huge })).code,
      'RESOURCE_EXHAUSTED',
    )
  })

  it('limits calls by token, and says when to try again', async () => {
    const list = () => python.ask({ do: 'call', method: LIST, token: TOKENS.few, request: {} })
    let refused: PythonAnswer | undefined
    for (let i = 0; i < 2000 && !refused?.error; i++) refused = await list()
    const error = errorOf(refused ?? {})
    assert.equal(error.code, 'RESOURCE_EXHAUSTED')
    assert.match(String(error.details['RetryInfo']?.['retryDelay']), /^0\.\d+s$/)
    assert.ok((await python.ask({ do: 'call', method: LIST, token: TOKENS.admin, request: {} })).answer)
  })

  it('shows the configuration without its secrets, and checks another', async () => {
    const shown = await python.ask({
      do: 'call',
      method: 'flowdam.v1.ConfigService/GetConfig',
      token: TOKENS.operate,
    })
    const yaml = String(shown.answer?.['yaml'])
    assert.match(yaml, /203\.0\.113\.0\/24/)
    assert.ok(!yaml.includes('hunter2'))
    const validate = async (text: string) =>
      await python.ask({
        do: 'call',
        method: 'flowdam.v1.ConfigService/ValidateConfig',
        token: TOKENS.admin,
        request: { yaml: text },
      })
    const wrong = await validate('networks: [203.0.113.0/24]\nban:\n  duratoin: 1h\n')
    const [complaint] = listOf(wrong, 'complaints')
    assert.deepEqual(
      [complaint?.['line'], complaint?.['column'], complaint?.['path']],
      [3, 3, 'ban.duratoin'],
    )
    const right = await validate('networks: [203.0.113.0/24]\nban: { duration: 1h }\n')
    assert.equal(answerOf(right)['valid'], true)
    assert.ok((answerOf(right)['changes'] as string[]).includes('ban.duration: 30m → 1h'))
  })

  it('pages through bans', async () => {
    const prefixes = Array.from({ length: 5 }, (_, i) => `203.0.113.${100 + i}`)
    for (const prefix of prefixes) {
      await python.ask({ do: 'call', method: ADD, token: TOKENS.admin, request: { prefix } })
    }
    const seen: unknown[] = []
    let pageToken = ''
    do {
      const page = await python.ask({
        do: 'call',
        method: LIST,
        token: TOKENS.operate,
        request: { limit: 2, pageToken },
      })
      seen.push(...listOf(page, 'bans').map(({ prefix }) => prefix))
      pageToken = String(answerOf(page)['nextPageToken'] ?? '')
    } while (pageToken !== '')
    assert.deepEqual(seen, prefixes.map((prefix) => `${prefix}/32`).reverse())
  })

  it('counted and wrote down all of that, and no token anywhere', async () => {
    const audit = auditLines()
    const count = (status: string) => audit.filter((line) => line['status'] === status).length
    assert.ok(count('UNAUTHENTICATED') >= 3 && count('PERMISSION_DENIED') === 1)
    assert.ok(
      audit.some(({ by, method, who }) => by === 'token:operate' && method === ADD && who === 'alice'),
    )
    const metrics = await (await fetch(`http://${http}/metrics`)).text()
    for (const reason of ['unauthenticated', 'role', 'rate', 'message_size', 'malformed']) {
      assert.match(metrics, new RegExp(`^flowdam_api_refused_total\\{reason="${reason}"\\} [1-9]`, 'm'))
    }
    const listed = await python.ask({
      do: 'call',
      method: 'flowdam.v1.AuditService/ListAudit',
      token: TOKENS.admin,
    })
    assert.equal(listOf(listed, 'entries').length, Math.min(100, audit.length))
    const everything = JSON.stringify(audit) + metrics + daemon.log
    for (const token of Object.values(TOKENS)) assert.ok(!everything.includes(token))
  })
})
