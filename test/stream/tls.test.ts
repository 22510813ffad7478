// SPDX-License-Identifier: Apache-2.0
//
// Real certificates, made by scripts/lab-ca.sh with openssl.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { explainFailure } from '@flowdam/agent/internal/stream/failure'
import { TlsIdentity } from '@flowdam/agent/internal/stream/tls'
import { ServerTls } from '@flowdam/aggregator/internal/grpc/tls'
import { agentIdsOf } from '@flowdam/aggregator/internal/ingest/identity'
import { ROOT } from '@flowdam/scripts/lab/root'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { credentials } from '@grpc/grpc-js'
import { log, Receiver, Sender } from './stand.js'

describe('certificates', { timeout: 800_000 }, () => {
  let folder: string
  let one: Receiver
  let tls: ServerTls
  const senders: Sender[] = []

  const make = (ca: string, args: readonly string[], days = '30') =>
    execFileSync(join(ROOT, 'scripts', 'lab-ca.sh'), [join(folder, ca), ...args], {
      env: { ...process.env, DAYS: days },
      stdio: 'pipe',
    })
  const files = (name: string, ca = 'ca') => ({
    ca: join(folder, 'ca', 'ca.crt'),
    cert: join(folder, ca, `${name}.crt`),
    key: join(folder, ca, `${name}.key`),
  })
  const until = (what: string, holds: () => boolean) => waitFor(what, () => (holds() ? true : undefined))

  /** An agent with these files; `credentials` may replace what is made of them. */
  function agent(agentId: string, name: string, ca = 'ca'): { sender: Sender; identity: TlsIdentity } {
    const identity = new TlsIdentity(files(name, ca))
    const address = `localhost:${one.port}`
    const sender = new Sender({
      agentId,
      targets: [{ address, overTls: true, credentials: () => identity.credentials() }],
    })
    senders.push(sender)
    sender.start()
    return { sender, identity }
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'flowdam-tls-'))
    for (const ca of ['ca', 'foreign']) make(ca, ['ca'])
    make('ca', ['aggregator', 'agg', 'DNS:localhost', 'IP:127.0.0.1'])
    make('foreign', ['aggregator', 'agg', 'DNS:localhost'])
    make('ca', ['agent', 'edge1'])
    make('ca', ['agent', 'expired'], '0')
    make('foreign', ['agent', 'edge1'])
    one = new Receiver({
      tls: () => {
        tls = new ServerTls({ files: files('agg'), drops: one.drops, log, lookEveryMs: 50 })
        return tls
      },
    })
    await one.start()
  })
  afterEach(async () => {
    for (const sender of senders.splice(0)) await sender.stop()
  })
  after(async () => {
    await one.stop()
    rmSync(folder, { recursive: true })
  })

  it('the right one gets through, and batches with it', async () => {
    const { sender } = agent('edge1', 'edge1')
    sender.push(10)
    await until('the batch', () => sender.queue.batches === 0)
    assert.equal(one.sink.batches.length, 1)
    assert.equal(one.drops.get('ingest', 'certificate'), 0)
  })

  it("another agent's is refused with both names", async () => {
    const before = one.drops.get('ingest', 'certificate')
    const { sender } = agent('edge2', 'edge1')
    await until('the refusal', () => sender.uplink.stats.failures.tls > 0)
    assert.equal(one.drops.get('ingest', 'certificate') > before, true)
    assert.match(sender.uplink.lastFailure ?? '', /FD_CERTIFICATE: .*'edge1', not for agent 'edge2'/)
  })

  it('one of a foreign authority is refused, counted on both sides', async () => {
    const before = one.drops.get('ingest', 'certificate')
    const { sender } = agent('edge1', 'edge1', 'foreign')
    await until('the failure', () => sender.uplink.lastFailure !== undefined)
    assert.match(sender.uplink.lastFailure ?? '', /FD_TLS_REFUSED/)
    await until('the count', () => one.drops.get('ingest', 'certificate') > before)
  })

  it('our own expired one is named before anything is sent', async () => {
    const { sender } = agent('expired', 'expired')
    await until('the complaint', () => sender.uplink.stats.failures.tls > 0)
    assert.match(sender.uplink.lastFailure ?? '', /FD_TLS_EXPIRED: our certificate .*expired\.crt/)
  })

  it('an aggregator of a foreign authority, without one of ours, or without TLS: each in its own words', async () => {
    const foreign = new Receiver({
      tls: () => new ServerTls({ files: files('agg', 'foreign'), drops: foreign.drops, log }),
    })
    await foreign.start()
    const plain = new Receiver()
    await plain.start()
    const identity = new TlsIdentity(files('edge1'))
    const attempt = async (
      address: string,
      make: () => ReturnType<TlsIdentity['credentials']>,
      overTls = true,
    ) => {
      const sender = new Sender({ targets: [{ address, overTls, credentials: make }] })
      senders.push(sender)
      sender.start()
      await until(`a failure at ${address}`, () => sender.uplink.lastFailure !== undefined)
      return sender.uplink.lastFailure ?? ''
    }
    try {
      assert.match(await attempt(`localhost:${foreign.port}`, () => identity.credentials()), /FD_TLS_FOREIGN/)
      assert.match(await attempt(`localhost:${plain.port}`, () => identity.credentials()), /FD_TLS_PLAIN/)
      assert.match(
        await attempt(`localhost:${one.port}`, () => credentials.createInsecure(), false),
        /FD_TLS_WANTED/,
      )
    } finally {
      await foreign.stop()
      await plain.stop()
    }
  })

  it('who begins a handshake and does not go on is not kept', async () => {
    const server = new Receiver({
      tls: () => new ServerTls({ files: files('agg'), drops: server.drops, log }),
      handshakeMs: 100,
    })
    await server.start()
    try {
      const socket = connect(server.port, '127.0.0.1')
      socket.on('error', () => undefined)
      await new Promise<void>((resolve) => socket.resume().once('close', () => resolve()))
      assert.equal(server.drops.get('ingest', 'certificate'), 1)
    } finally {
      await server.stop()
    }
  })

  it('rotates on both sides without a restart', async () => {
    const { sender, identity } = agent('edge1', 'edge1')
    await until('the stream', () => sender.uplink.connected)
    assert.equal(identity.renew(), false)
    const rotations = tls.rotations
    make('ca', ['aggregator', 'agg', 'DNS:localhost'])
    make('ca', ['agent', 'edge1'])
    await until('the aggregator to see it', () => tls.rotations > rotations)
    assert.equal(identity.renew(), true)
    const { connects } = sender.uplink.stats
    sender.uplink.reconnect()
    await until('the new stream', () => sender.uplink.stats.connects > connects)
    sender.push(3)
    await until('the batch', () => sender.queue.batches === 0)
  })

  it('keeps the old ones when the new ones do not fit, and says so', async () => {
    const rotations = tls.rotations
    const { cert } = files('agg')
    copyFileSync(cert, `${cert}.kept`)
    copyFileSync(files('edge1').cert, cert)
    tls.reload()
    assert.equal(tls.rotations, rotations)
    const { sender } = agent('edge1', 'edge1')
    await until('a stream with the old one', () => sender.uplink.connected)
    copyFileSync(`${cert}.kept`, cert)
  })

  it('an agent goes on with its old ones when the new ones do not fit, half way through a rotation', async () => {
    const { sender, identity } = agent('edge1', 'edge1')
    await until('the stream', () => sender.uplink.connected)
    const { cert } = files('edge1')
    copyFileSync(cert, `${cert}.kept`)
    copyFileSync(files('agg').cert, cert)
    // What SIGHUP does: a stream that works is not given up for files that cannot work.
    assert.equal(identity.renew(), false)
    const { connects } = sender.uplink.stats
    sender.uplink.reconnect()
    await until('a stream with the old one', () => sender.uplink.stats.connects > connects)
    copyFileSync(`${cert}.kept`, cert)
    assert.equal(identity.renew(), false)
  })
})

describe('names in a certificate', () => {
  it('only DNS and flowdam-agent URIs count, and odd values cannot forge them', () => {
    assert.deepEqual(agentIdsOf('DNS:edge1, URI:flowdam-agent:edge_2, IP Address:192.0.2.1'), [
      'edge1',
      'edge_2',
    ])
    assert.deepEqual(agentIdsOf('URI:"https://x/\\u002c, DNS:edge1", email:a@b'), [])
    assert.deepEqual(agentIdsOf('URI:https://x/, DNS:edge9'), ['edge9'])
    assert.deepEqual(agentIdsOf(''), [])
  })

  it('what OpenSSL says becomes something to act on', () => {
    const details = 'No connection established. Last error: Error: certificate has expired. Resolution note: '
    assert.match(
      explainFailure('UNAVAILABLE', details, true).text,
      /FD_TLS_EXPIRED: the aggregator's certificate/,
    )
  })
})
