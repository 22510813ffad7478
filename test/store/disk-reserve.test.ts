// SPDX-License-Identifier: Apache-2.0
//
// Somebody fills the disk of the embedded database and of the spool, again and again, while flows come and parts are merged:
// below the reserve, below half of it, and to the last byte. Each time it is said, work stops before the disk is full, goes on
// by itself, and in the end rows = records. FLOWDAM_DISK_CYCLES sets how many times of each.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import { quietLog } from '@flowdam/aggregator/internal/testing/quiet-log'
import { deal, makeRandom } from './faults/deck.js'
import { ACCOUNT, type Account, numbers, whole } from './faults/numbered.js'
import { Site } from './faults/site.js'
import { NO_SMALL_DISK, SmallDisk } from './faults/small-disk.js'

const CYCLES = Number(process.env['FLOWDAM_DISK_CYCLES'] ?? 1)
const SEED = Number(process.env['FLOWDAM_SEED'] ?? Math.floor(Math.random() * 1e9))
const RESERVE = 96e6
const BATCH = { records: 500, bytes: 500 * 64 }
const LEVELS = { low: RESERVE * 0.75, critical: RESERVE / 4, 'full to the last byte': 0 } as const
const LIMITS = { timeoutMs: 60_000, maxMemoryBytes: 1e9 }
const SPOOL = 'segment_rows: 10k, segment_age: 50ms'

// The limit is for a hang only.
describe('the reserve of the disk', { skip: NO_SMALL_DISK, timeout: 300_000 }, () => {
  const random = makeRandom(SEED)
  const disk = new SmallDisk()
  const site = new Site({ batch: BATCH.records, everyMs: 5 })

  before(async () => {
    disk.mount(512)
    site.configure(
      `{ engine: embedded, path: ${disk.path}/store, reserve: ${RESERVE / 1e6}M, spool: { ${SPOOL} } }`,
    )
    await site.start()
    await site.storeIsReady()
  })
  after(async () => {
    await site.cleanUp()
    disk.cleanUp()
  })

  const store = async () => {
    const { store } = await site.status()
    assert.ok(store)
    return store
  }
  const until = async (isSo: () => Promise<boolean>) => {
    while (!(await isSo())) await sleep(20)
  }
  /** What was under way when the disk became low is over. */
  const loadingHasStopped = async () => {
    for (let last = -1, now = 0; now !== last; now = (await store()).rowsStored) {
      last = now
      await sleep(500)
    }
    return (await store()).rowsStored
  }

  const levels = deal(Object.keys(LEVELS) as (keyof typeof LEVELS)[], CYCLES * 3, random)
  it(`${levels.join(', ')} (seed ${SEED}): nothing is lost`, async (t) => {
    for (const level of levels) {
      await site.sendFor(500 + 1000 * random())
      await disk.fill(LEVELS[level])
      await site.send()
      const state = level === 'low' ? 'low' : 'critical'
      await until(async () => (await store()).diskState === state)
      assert.match((await store()).lastError, /^FD_STORE_DISK_LOW/)
      assert.deepEqual(await site.health('/store'), { status: 200, state: 'degraded' })
      const stored = await loadingHasStopped()
      const before = (await store()).spoolBytes
      for (let i = 0; i < 10; i++) await site.send()
      if (level === 'low') {
        await site.drained()
        // Time enough for a loader that is not held.
        assert.equal(await loadingHasStopped(), stored)
        assert.ok((await store()).spoolBytes >= before + 10 * BATCH.bytes)
      } else {
        // What is not acknowledged the agent keeps.
        await site.spoolIs('degraded')
        assert.match((await site.spoolError()) ?? '', /FD_SPOOL_DISK_LOW/)
      }
      assert.equal((await store()).rowsStored, stored)
      disk.relieve()
      await until(async () => (await store()).diskState === 'ok')
      await site.settled()
    }
    const ends = await site.metric('flowdam_store_database_ends_total')
    t.diagnostic(`${site.records.sent.records} records; the database ended ${ends} times`)
    await eachIsThereOnce(site, disk)
  })
})

/** Ends the daemon and looks into the database. */
async function eachIsThereOnce(site: Site, disk: SmallDisk): Promise<void> {
  assert.deepEqual((await site.status()).drops, [])
  assert.equal(await site.daemon.end('SIGTERM'), 0)
  const path = `${disk.path}/store/clickhouse`
  const engine = new EmbeddedEngine({ path, memoryBytes: 1e9, log: quietLog() })
  await engine.start()
  const [account] = await engine.query<Account>(ACCOUNT, {}, LIMITS)
  const [merged] = await engine.query<{ level: string }>(
    "SELECT max(level) AS level FROM system.parts WHERE active AND database = 'flowdam' AND table = 'flows'",
    {},
    LIMITS,
  )
  await engine.stop()
  assert.deepEqual(numbers(account), whole(site.records.sent))
  assert.ok(Number(merged?.level) > 0, 'nothing was merged')
}
