// SPDX-License-Identifier: Apache-2.0
//
// Baselines in the real daemon: from deltas to the API, and over a restart.
import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { after, describe, it } from 'node:test'
import {
  BaselineServiceClient,
  type ExportBaselinesResponse,
  type GetHostResponse,
  HostServiceClient,
  type ListBaselinesResponse,
} from '@flowdam/proto'
import { type Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { TestDaemon } from './testing/daemon.js'
import { DeltaAgent, delta } from './testing/delta-agent.js'

const HOST = '203.0.113.9'
const CONFIG = `
networks: [203.0.113.0/24]
thresholds: { incoming: { pps: 20k }, baseline: { floor: { pps: 1k } } }
ban: { enabled: false }
`

// The limit is for a hang only.
describe('baselines of the daemon', { timeout: 300_000 }, () => {
  const daemon = new TestDaemon()
  const clients: Client[] = []
  let agent: DeltaAgent | undefined
  after(async () => {
    agent?.close()
    for (const client of clients) client.close()
    await daemon.cleanUp()
  })

  const connect = async () => {
    const { grpc } = await daemon.start()
    const baselines = new BaselineServiceClient(grpc, credentials.createInsecure())
    const hosts = new HostServiceClient(grpc, credentials.createInsecure())
    clients.push(baselines, hosts)
    const list = () =>
      answer<ListBaselinesResponse>((done) => baselines.listBaselines({ limit: 0, hostgroup: '' }, done))
    return { grpc, baselines, hosts, list }
  }

  it('come into being with traffic, are shown as learning, and are there again after a restart', async () => {
    daemon.configure(CONFIG)
    const first = await connect()
    assert.deepEqual(await first.list(), { baselines: [], addresses: 0, enabled: true })
    agent = new DeltaAgent(first.grpc)
    await agent.connect()
    await agent.flood(100, [delta(HOST, 100, 60_000)], async () => (await first.list()).addresses > 0)
    const host = await answer<GetHostResponse>((done) => first.hosts.getHost({ address: HOST }, done))
    assert.equal(host.thresholds[0]?.threshold, 20_000)
    assert.equal(host.thresholds[0]?.source, 'configured')
    assert.match(host.thresholds[0]?.basis ?? '', /^(learning: 0 of 168 hours|nothing learned yet)/)
    await assert.rejects(
      answer<ExportBaselinesResponse>((done) => first.baselines.exportBaselines({ hosts: 0 }, done)),
      /FD_BASELINE_NOT_READY/,
    )
    agent.close()
    await daemon.end('SIGTERM')
    assert.ok(existsSync(`${daemon.folder}/state/baselines.bin`))

    const second = await connect()
    const { baselines } = await second.list()
    assert.deepEqual(
      baselines.map(({ target, ready }) => [target, ready]),
      [[HOST, false]],
    )
    await daemon.end('SIGKILL')

    writeFileSync(`${daemon.folder}/state/baselines.bin`, 'garbage')
    const third = await connect()
    assert.deepEqual((await third.list()).baselines, [])
    assert.match(daemon.log, /FD_BASELINE_DAMAGED/)
  })
})

/** A unary call as a promise. */
function answer<T>(
  ask: (callback: (error: ServiceError | null, response: T) => void) => unknown,
): Promise<T> {
  return new Promise((resolve, reject) => {
    ask((error, response) => (error ? reject(error) : resolve(response)))
  })
}
