// SPDX-License-Identifier: Apache-2.0
//
// Flows as they arrive, through the real aggregator and the real command: what a watcher reads and what it misses are
// together what matched, and a watcher that reads nothing slows nobody.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { TestAgent } from '@flowdam/aggregator/internal/testing/agent-client'
import { TestDaemon, until } from '@flowdam/aggregator/internal/testing/daemon'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { FlowServiceClient, type WatchFlowsRequest, type WatchFlowsResponse } from '@flowdam/proto'
import { ROOT } from '@flowdam/scripts/lab/root'
import { credentials, type ServiceError, status } from '@grpc/grpc-js'

const ALL: WatchFlowsRequest = { host: '', src: '', dst: '', protocol: 0, port: 0, agent: '', limit: 0 }
const COMMAND = join(ROOT, 'ctl', 'dist', 'main.js')
const BATCH = 5000

describe('flows as they arrive', { timeout: 800_000 }, () => {
  const daemon = new TestDaemon()
  const clients: FlowServiceClient[] = []
  let grpc: string
  let http: string
  let agent: TestAgent
  let sent = 0
  let seed = 0

  const client = () => {
    const made = new FlowServiceClient(grpc, credentials.createInsecure(), {
      // Each on a connection of its own, so that one that does not read holds up only itself.
      'grpc.use_local_subchannel_pool': 1,
    })
    clients.push(made)
    return made
  }
  /** Sends records and waits until they are durable. */
  const send = async (batches: number) => {
    for (let i = 0; i < batches; i++) {
      await agent.send(makeRecords(BATCH, seed++).records, Date.now() - 5000)
      sent += BATCH
    }
    await agent.drained()
  }
  const begun = (call: ReturnType<FlowServiceClient['watchFlows']>) =>
    new Promise<void>((resolve, reject) => {
      call.once('data', () => resolve())
      call.once('error', reject)
    })
  const metric = async (name: string) => {
    const text = await (await fetch(`http://${http}/metrics`)).text()
    const line = text.split('\n').find((line) => line.startsWith(`flowdam_${name} `)) ?? ''
    return Number(line.split(' ').at(-1))
  }

  const gone = async () => {
    while ((await metric('flow_watchers')) > 0);
  }

  before(async () => {
    daemon.configure('networks: [203.0.113.0/24]\n')
    ;({ grpc, http } = await daemon.start())
    agent = new TestAgent({ address: grpc, agentId: 'edge1', bootId: 1 })
    await agent.connect()
  })
  after(async () => {
    agent?.disconnect()
    for (const one of clients) one.close()
    await daemon.cleanUp()
  })

  it('what a watcher reads and what it is told to have missed are all that matched', async () => {
    const seen: WatchFlowsResponse[] = []
    const call = client().watchFlows(ALL)
    call.on('error', () => undefined)
    await begun(call)
    call.on('data', (response: WatchFlowsResponse) => seen.push(response))
    // One that never reads: on its own connection, paused behind its first message.
    const stuck = client().watchFlows(ALL)
    stuck.on('error', () => undefined)
    await begun(stuck)
    stuck.pause()
    await send(40)
    const count = () => seen.reduce((sum, { flows, missed }) => sum + flows.length + missed, 0)
    await until('the watcher to know of every flow', () => count() >= sent)
    assert.equal(count(), sent)
    assert.ok(seen.some(({ flows }) => flows.some(({ agent }) => agent === 'edge1')))
    assert.ok(seen.every(({ flows }) => flows.length <= 200))
    assert.equal(await metric('flow_watchers'), 2)
    const given = await metric('flow_watch_flows_total{result="sent"}')
    const missed = await metric('flow_watch_flows_total{result="missed"}')
    assert.ok(given + missed >= sent && given > 0 && missed > 0, `${given} and ${missed} of ${sent}`)
    call.cancel()
    stuck.cancel()
    await gone()
    await send(1)
  })

  it('a ninth of one caller is refused, until another has ended', async () => {
    const watches = Array.from({ length: 8 }, () => client().watchFlows(ALL))
    for (const watch of watches) watch.on('error', () => undefined)
    await Promise.all(watches.map(begun))
    const refused = client().watchFlows(ALL)
    const error = await new Promise<ServiceError>((resolve) => refused.once('error', resolve))
    assert.equal(error.code, status.RESOURCE_EXHAUSTED)
    assert.match(error.details, /^FD_FLOW_WATCHES: .*8 of one caller/)
    for (const watch of watches) watch.cancel()
    await gone()
    const again = client().watchFlows(ALL)
    again.on('error', () => undefined)
    await begun(again)
    again.cancel()
    await gone()
  })

  it('the command follows them, filtered, until Ctrl-C', async () => {
    const args = [
      COMMAND,
      '--server',
      grpc,
      'flows',
      '--follow',
      '--json',
      '--proto',
      'udp',
      '--agent',
      'edge1',
    ]
    const following = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let complaint = ''
    following.stdout.on('data', (text: Buffer) => (out += text.toString()))
    following.stderr.on('data', (text: Buffer) => (complaint += text.toString()))
    const ended = new Promise((resolve) => following.once('close', resolve))
    while ((await metric('flow_watchers')) < 1);
    await send(1)
    const lines = () => out.split('\n').filter((line) => line.endsWith('}'))
    await until('flows', () => lines().length > 100)
    following.kill('SIGINT')
    assert.equal(await ended, 0)
    assert.equal(complaint, '')
    const shown = lines().map((line) => JSON.parse(line) as { protocol?: number; missed?: number })
    assert.ok(shown.every(({ protocol, missed }) => protocol === 17 || (missed ?? 0) > 0))
    await gone()
  })

  it('the command ends by itself after --limit, and when nobody reads it any more', async () => {
    const run = (shell: string) =>
      new Promise<{ code: number; stdout: string; stderr: string }>((resolve) =>
        execFile('bash', ['-c', `set -o pipefail; ${shell}`], (error, stdout, stderr) =>
          resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
        ),
      )
    const command = `'${process.execPath}' '${COMMAND}' --server ${grpc} flows -f`
    const both = Promise.all([run(`${command} -n 7 --json`), run(`${command} | head -3`)])
    let done = false
    void both.finally(() => (done = true))
    while (!done && (await metric('flow_watchers')) < 2);
    // The one with `head` learns that nobody reads when it writes again.
    while (!done) await send(1)
    const [limited, piped] = await both
    assert.deepEqual([limited.code, limited.stderr, limited.stdout.split('\n').length], [0, '', 8])
    assert.equal(piped.code, 0)
    assert.equal(piped.stdout.split('\n').length, 4)
  })
})
