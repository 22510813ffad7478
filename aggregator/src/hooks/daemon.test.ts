// SPDX-License-Identifier: Apache-2.0
//
// The real daemon with hooks that cannot work: what an operator sees of it. And one that asks for updates.
import assert from 'node:assert/strict'
import { chmodSync, copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Ban, BanServiceClient, type ListBansResponse } from '@flowdam/proto'
import { credentials } from '@grpc/grpc-js'
import { TestDaemon, until } from '../testing/daemon.js'
import { DeltaAgent, delta } from '../testing/delta-agent.js'

const GOBGP = fileURLToPath(new URL('../../../scripts/hooks/gobgp', import.meta.url))

// The limit is for a hang only.
describe('hooks of the real daemon', { timeout: 300_000 }, () => {
  const daemon = new TestDaemon()
  const gone = join(daemon.folder, 'gone.sh')
  const plain = join(daemon.folder, 'plain.sh')
  let agent: DeltaAgent
  let client: BanServiceClient
  let http = ''
  let done = false
  let flood: Promise<void>

  before(async () => {
    for (const file of [gone, plain]) {
      copyFileSync(daemon.hook, file)
      chmodSync(file, 0o755)
    }
    daemon.configure(`
networks: [203.0.113.0/24]
thresholds: { incoming: { pps: 20k } }
ban: { duration: 30m }
hooks:
  - { name: gone, run: [${gone}], retries: 1, backoff: 10ms, retry_every: off }
  - { name: plain, run: [${plain}], retries: 0, retry_every: off }
  - { name: community, run: [${GOBGP}], format: fastnetmon, retries: 0, retry_every: off, env: { COMMUNITIES: bla } }
  - { name: updated, run: [${daemon.hook}], updates: 1s }
`)
    const at = await daemon.start()
    http = at.http
    rmSync(gone)
    chmodSync(plain, 0o644)
    client = new BanServiceClient(at.grpc, credentials.createInsecure())
    agent = new DeltaAgent(at.grpc)
    await agent.connect()
    flood = agent.flood(100, [delta('203.0.113.9', 10_000, 600_000)], () => done)
  })
  after(async () => {
    done = true
    await flood
    client.close()
    agent.close()
    await daemon.cleanUp()
  })

  const ban = () =>
    new Promise<Ban | undefined>((resolve, reject) => {
      const request = { includeEnded: false, limit: 1, pageToken: '' }
      client.listBans(request, (error, answer: ListBansResponse) =>
        error ? reject(error) : resolve(answer.bans[0]),
      )
    })

  it('that fail leave status, output and every attempt in the ban’s history', async () => {
    let found: Ban | undefined
    for (;;) {
      found = await ban()
      const failed = found?.hooks.filter(({ result }) => result === 'failed') ?? []
      if (failed.length >= 4) break
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const of = (name: string) => found?.hooks.filter(({ hook }) => hook === name) ?? []
    assert.deepEqual(
      of('gone').map(({ result, exitCode, attempt }) => [result, exitCode, attempt]),
      [
        ['failed', -1, 1],
        ['failed', -1, 2],
      ],
    )
    assert.match(of('gone')[0]?.output ?? '', /ENOENT/)
    assert.match(of('plain')[0]?.output ?? '', /EACCES/)
    assert.ok((of('community')[0]?.exitCode ?? 0) > 0)
    assert.match(of('community')[0]?.output ?? '', /COMMUNITIES: not a community: 'bla'/)
  })

  it('are counted by result, and so is the ban that they have failed', async () => {
    const metrics = await (await fetch(`http://${http}/metrics`)).text()
    assert.match(metrics, /^flowdam_hook_runs_total\{hook="gone",action="ban",result="failed"\} 2$/m)
    assert.match(metrics, /^flowdam_hook_runs_total\{hook="plain",action="ban",result="failed"\} 1$/m)
    assert.match(metrics, /^flowdam_hook_runs_total\{hook="community",action="ban",result="failed"\} 1$/m)
    assert.match(metrics, /^flowdam_bans_hooks_failing 1$/m)
    assert.match(metrics, /^flowdam_dropped_total\{stage="hooks",reason="gave_up"\} 3$/m)
  })

  it('that ask for updates get them while the attack lasts, with its record, and no other hook does', async () => {
    const updates = () => daemon.calls().filter(({ argv }) => argv[0] === 'update')
    await until('two updates', () => updates().length >= 2)
    const [update] = updates()
    assert.equal(update?.env['FLOWDAM_HOOK'], 'updated')
    const document = JSON.parse(update?.stdin ?? '{}') as Record<string, Record<string, unknown>>
    assert.equal(document['action'], 'update')
    assert.equal(document['attack']?.['target'], '203.0.113.9')
    assert.equal(document['attack']?.['direction'], 'incoming')
    assert.ok(updates().every(({ env }) => env['FLOWDAM_HOOK'] === 'updated'))
  })
})
