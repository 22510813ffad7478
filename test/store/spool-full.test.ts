// SPDX-License-Identifier: Apache-2.0
//
// The database is away until the spool is full: detection goes on, every record that is dropped is counted, and when
// the database is back nobody has to do anything.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { ModernServer } from './faults/modern-server.js'
import { ACCOUNT, type Account, numbers, whole } from './faults/numbered.js'
import { FaultProxy } from './faults/proxy.js'
import { Site } from './faults/site.js'

const BATCH = 500
/** Four times what the spool takes. */
const BATCHES = 128
const SPOOL_BYTES = 1_024_000

// The limit is for a hang only.
describe('a spool that is full', { timeout: 800_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-full-'))
  const server = new ModernServer(folder)
  let proxy: FaultProxy
  let site: Site

  before(async () => {
    await server.start()
    proxy = new FaultProxy({ serverPort: server.port, clientTimeoutMs: 2000 })
    await proxy.start()
  })
  after(async () => {
    await proxy?.stop()
    await server.kill()
    rmSync(folder, { recursive: true })
  })
  beforeEach(() => {
    site = new Site({ batch: BATCH, everyMs: 2 })
  })

  const begin = async (whenFull: 'hold' | 'drop') => {
    site.configure(
      `{ engine: clickhouse, url: '${proxy.url}', database: ${whenFull}, timeout: 2s, path: ${site.daemon.folder}/store, spool: { max: ${SPOOL_BYTES}, when_full: ${whenFull}, segment_age: 100ms } }`,
    )
    await site.start()
    await sendSlowly()
    assert.deepEqual((await site.status()).drops, [])
  }
  const sendSlowly = async () => {
    for (let i = 0; i < 5; i++) {
      await site.send()
      await site.settled()
    }
  }
  /** Without the store: floods before and while the spool is full. */
  const fill = async (state: string) => {
    const normal = await site.banDelay()
    await proxy.setWeather('refused')
    for (let i = 0; i < BATCHES; i++) await site.send()
    await site.spoolIs(state)
    return { normal, full: await site.banDelayBelow(2 * normal + 100) }
  }
  const account = async (database: string) =>
    numbers((await server.query<Account>(ACCOUNT.replace('flowdam.', `${database}.`)))[0])

  it('and holds: agents keep their records, floods are banned as fast as ever, nothing is lost', async (t) => {
    t.after(() => site.cleanUp())
    await begin('hold')
    const delays = await fill('degraded')
    t.diagnostic(
      `flood to hook, median: ${delays.normal.toFixed(0)} ms, spool full: ${delays.full.toFixed(0)} ms`,
    )
    await site.until('the reason', ({ store }) => /ECONNREFUSED/.test(store?.lastError ?? ''))
    assert.deepEqual(await site.health('/spool'), { status: 200, state: 'degraded' })
    assert.equal((await site.health()).status, 200)
    const { store } = await site.status()
    assert.ok((store?.spoolBytes ?? 0) <= SPOOL_BYTES)
    assert.ok((store?.spoolBytes ?? 0) > SPOOL_BYTES / 2)
    await proxy.setWeather('fine')
    await site.settled()
    assert.deepEqual((await site.status()).drops, [])
    await site.spoolIs('ok')
    assert.deepEqual(await account('hold'), whole(site.records.sent))
  })

  it('and drops: every record that is not there is counted, floods are banned as fast as ever', async (t) => {
    t.after(() => site.cleanUp())
    await begin('drop')
    const delays = await fill('failed')
    t.diagnostic(
      `flood to hook, median: ${delays.normal.toFixed(0)} ms, spool full: ${delays.full.toFixed(0)} ms`,
    )
    assert.deepEqual(await site.health('/spool'), { status: 503, state: 'failed' })
    assert.equal((await site.health()).status, 200)
    // An agent is told at once: it does not wait for what nobody takes.
    await site.drained()
    await proxy.setWeather('fine')
    await site.settled()
    const dropped = await site.metric('flowdam_dropped_total{stage="spool",reason="full"}')
    const stored = await account('drop')
    t.diagnostic(`${site.records.sent.records} sent, ${dropped} dropped, ${stored.records} stored`)
    assert.ok(dropped > 0)
    assert.equal(Number(stored.records) + dropped, site.records.sent.records)
    assert.equal(stored.different, stored.records)
    // Without help: what comes now is stored, and the state says so.
    await sendSlowly()
    await site.spoolIs('ok')
    assert.equal(Number((await account('drop')).records) + dropped, site.records.sent.records)
    assert.equal((await site.status()).store?.state, 'ok')
  })
})
