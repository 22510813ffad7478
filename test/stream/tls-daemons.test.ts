// SPDX-License-Identifier: Apache-2.0
//
// mTLS between the real daemons, with certificates that scripts/lab-ca.sh makes.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { commandIn } from '@flowdam/scripts/lab/commands'
import { ROOT } from '@flowdam/scripts/lab/root'
import { Traffic } from '@flowdam/scripts/lab/traffic'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { AGGREGATOR_PORT, type Daemon, Field } from './field.js'

const REFUSED = 'flowdam_dropped_total{stage="ingest",reason="certificate"}'
const FAILED = 'flowdam_agent_connect_failures_total{reason="tls"}'

describe('mTLS between the daemons', { timeout: 800_000 }, () => {
  const field = new Field()

  const at = (...parts: string[]) => join(field.network.folder, 'tls', ...parts)
  const make = (ca: string, args: readonly string[], days = '30') =>
    execFileSync(join(ROOT, 'scripts', 'lab-ca.sh'), [at(ca), ...args], {
      env: { ...process.env, DAYS: days },
      stdio: 'pipe',
    })
  const files = (name: string, from = 'ca', trusts = 'ca') => ({
    ca: at(trusts, 'ca.crt'),
    cert: at(from, `${name}.crt`),
    key: at(from, `${name}.key`),
  })
  const aggregatorFiles = ['aggregator', 'agg', 'DNS:localhost', 'IP:127.0.0.1']

  const count = async (daemon: Daemon, name: string) => (await field.metrics(daemon))?.get(name) ?? 0
  const stream = () => field.until('a stream', 'agent', (value) => value('flowdam_agent_connected') === 1)

  const said = (daemon: Daemon, what: RegExp) =>
    waitFor(`${what} in the log`, () => field.lines(daemon).some((line) => what.test(JSON.stringify(line))))

  /** An agent with these settings that must not get a stream; what it says about it, and what the aggregator does. */
  async function refused(settings: Record<string, unknown>, counts = true): Promise<Record<Daemon, string>> {
    const before = await count('aggregator', REFUSED)
    const said = { agent: field.lines('agent').length, aggregator: field.lines('aggregator').length }
    field.configure('agent', settings)
    field.run('agent')
    await field.until('the failure', 'agent', (value) => value(FAILED) > 0)
    if (counts) await field.until('the refusal', 'aggregator', (value) => value(REFUSED) > before)
    assert.equal(await count('agent', 'flowdam_agent_connected'), 0)
    await field.end('agent', 'SIGKILL')
    const words = (daemon: Daemon) =>
      field
        .lines(daemon)
        .slice(said[daemon])
        .filter(({ level }) => level === 'warn' || level === 'error')
        .map((line) => JSON.stringify(line))
        .join('\n')
    return { agent: words('agent'), aggregator: words('aggregator') }
  }

  /** Traffic that has to arrive, and does. */
  async function deliver(packets: number): Promise<void> {
    const records = 'flowdam_flows_total{stage="stored"}'
    const before = await count('aggregator', records)
    const args = ['--count', String(packets), '--flows', '100', '--rate', '5000']
    const traffic = new Traffic(field.network, { from: 'internet', args })
    traffic.start()
    await traffic.ended()
    await field.until('the flows to be stored', 'aggregator', (value) => value(records) >= before + 100)
  }

  before(async () => {
    await field.start()
    for (const ca of ['ca', 'foreign']) make(ca, ['ca'])
    make('ca', aggregatorFiles)
    make('ca', ['agent', 'edge1'])
    make('ca', ['agent', 'edge2'])
    make('ca', ['agent', 'expired'], '0')
    make('foreign', ['agent', 'edge1'])
    field.configure('aggregator', { tls: files('agg') })
    field.run('aggregator')
    await field.until('the aggregator', 'aggregator', (value) => value('flowdam_store_up') === 1)
  })
  after(() => field.stop())

  it('with the right certificates flows arrive', async () => {
    field.configure('agent', { tls: files('edge1') })
    field.run('agent')
    await stream()
    await deliver(2000)
    assert.equal(await count('aggregator', REFUSED), 0)
    assert.equal(await count('agent', FAILED), 0)
    await field.end('agent', 'SIGTERM')
  })

  it('a certificate of a foreign authority: both sides say so and count it', async () => {
    const said = await refused({ tls: files('edge1', 'foreign') })
    assert.match(said.agent, /FD_TLS_REFUSED/)
    assert.match(said.aggregator, /not signed by the authority in tls\.ca.*FD_TLS_REFUSED/)
  })

  it("another agent's certificate: both names, on both sides", async () => {
    const said = await refused({ tls: files('edge2') })
    for (const words of [said.agent, said.aggregator]) {
      assert.match(words, /FD_CERTIFICATE: .*'edge2', not for agent 'edge1'.*URI:flowdam-agent:edge1/)
    }
  })

  it('our own expired certificate is never shown; whoever shows one is refused', async () => {
    const { agent } = await refused({ tls: files('expired') }, false)
    assert.match(agent, /FD_TLS_EXPIRED: our certificate .*expired\.crt has expired/)
    const before = await count('aggregator', REFUSED)
    await handshake({ ...pems(files('expired')) })
    await field.until('the refusal', 'aggregator', (value) => value(REFUSED) > before)
    await said('aggregator', /it has expired.*FD_TLS_REFUSED/)
  })

  it('no certificate, and no TLS at all', async () => {
    const before = await count('aggregator', REFUSED)
    await handshake({ ca: pems(files('edge1')).ca })
    await field.until('the refusal', 'aggregator', (value) => value(REFUSED) > before)
    await said('aggregator', /the client has none/)
    const words = await refused({})
    assert.match(words.agent, /FD_TLS_WANTED/)
    assert.match(words.aggregator, /the client does not speak TLS/)
  })

  it('an aggregator of an authority that the agent does not know', async () => {
    const said = await refused({ tls: files('edge1', 'ca', 'foreign') })
    assert.match(said.agent, /FD_TLS_FOREIGN/)
    assert.match(said.aggregator, /does it accept our certificate\?.*FD_TLS_REFUSED/)
  })

  it('a new authority and new certificates while both run: no restart, nothing missing', async () => {
    field.configure('agent', { tls: files('edge1') })
    field.run('agent')
    await stream()
    const connects = await count('agent', 'flowdam_agent_connects_total')
    make('next', ['ca'])
    make('next', aggregatorFiles)
    make('next', ['agent', 'edge1'])
    const both = Buffer.concat([readFileSync(at('ca', 'ca.crt')), readFileSync(at('next', 'ca.crt'))])
    const hup = async (what: string) => {
      const said = field.lines('aggregator').filter(({ msg }) => msg === 'new certificates').length
      field.signal('aggregator', 'SIGHUP')
      await field.until(
        what,
        'aggregator',
        () => field.lines('aggregator').filter(({ msg }) => msg === 'new certificates').length > said,
      )
      const streams = await count('agent', 'flowdam_agent_connects_total')
      field.signal('agent', 'SIGHUP')
      await field.until(
        `a stream after ${what}`,
        'agent',
        (value) => value('flowdam_agent_connects_total') > streams && value('flowdam_agent_connected') === 1,
      )
      await deliver(1000)
    }
    writeFileSync(at('ca', 'ca.crt'), both)
    await hup('both authorities')
    for (const name of ['agg', 'edge1']) {
      for (const kind of ['key', 'crt'])
        writeFileSync(at('ca', `${name}.${kind}`), readFileSync(at('next', `${name}.${kind}`)))
    }
    await hup('the new certificates')
    writeFileSync(at('ca', 'ca.crt'), readFileSync(at('next', 'ca.crt')))
    await hup('the new authority alone')
    assert.ok((await count('agent', 'flowdam_agent_connects_total')) >= connects + 3)
    assert.equal(await count('agent', FAILED), 0)
    await field.end('agent', 'SIGTERM')
    const said = await refused({ tls: files('edge2') })
    assert.match(
      said.aggregator,
      /not signed by the authority|FD_TLS_REFUSED/,
      'the old authority is of no use',
    )
  })

  it('plaintext to and from other machines is refused unless the operator insists', async () => {
    const check = async (daemon: Daemon, settings: Record<string, unknown>) => {
      field.configure(daemon, settings)
      const process = field.run(daemon, ['--check'])
      return { code: (await process.ended()).code, said: process.logTail(4) }
    }
    const far = { aggregator: `192.0.2.10:${AGGREGATOR_PORT}` }
    const agent = await check('agent', far)
    assert.equal(agent.code, 2)
    assert.match(agent.said, /192\.0\.2\.10:50060 is another machine.*plaintext.*insecure: true/)
    assert.equal((await check('agent', { ...far, insecure: true })).code, 0)
    assert.equal((await check('agent', { ...far, tls: files('edge1') })).code, 0)

    const open = { listen: { grpc: `0.0.0.0:${AGGREGATOR_PORT}`, http: '127.0.0.1:8080' } }
    const aggregator = await check('aggregator', open)
    assert.equal(aggregator.code, 2)
    assert.match(aggregator.said, /can be reached from other machines and would be plaintext.*insecure: true/)
    assert.equal((await check('aggregator', { ...open, insecure: true })).code, 0)
    assert.equal((await check('aggregator', { ...open, tls: files('agg') })).code, 0)
  })

  const pems = (paths: ReturnType<typeof files>) =>
    Object.fromEntries(
      Object.entries(paths).map(([kind, path]) => [kind, readFileSync(path, 'utf8')]),
    ) as Record<'ca' | 'cert' | 'key', string>

  /** A client that is not ours: a TLS handshake with these, to its end. */
  async function handshake(options: Record<string, string>): Promise<void> {
    const all = { ...options, host: '127.0.0.1', port: AGGREGATOR_PORT, ALPNProtocols: ['h2'] }
    const script = `const s = require('node:tls').connect(${JSON.stringify(all)}); s.on('error', () => {}); s.resume()`
    await commandIn(field.network.namespaces.edge, process.execPath, ['-e', script])
  }
})
