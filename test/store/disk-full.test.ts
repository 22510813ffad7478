// SPDX-License-Identifier: Apache-2.0
//
// A disk that is full to the last byte (a tmpfs of the test's own) below the spool, and below everything that the
// aggregator writes: it says so, counts it, bans floods meanwhile, starts again on it, and goes on when there is room.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import { quietLog } from '@flowdam/aggregator/internal/testing/quiet-log'
import { ACCOUNT, type Account, numbers, whole } from './faults/numbered.js'
import { Site } from './faults/site.js'
import { NO_SMALL_DISK, SmallDisk } from './faults/small-disk.js'

const BATCHES = 40

// The limit is for a hang only.
describe('a disk that is full', { skip: NO_SMALL_DISK, timeout: 800_000 }, () => {
  for (const { title, everything } of [
    { title: 'below the spool', everything: false },
    { title: 'below the spool, the database and the journal of bans', everything: true },
  ]) {
    it(`${title}: nothing is lost, and floods are banned`, async (t) => {
      const disk = new SmallDisk()
      const site = new Site({ batch: 500, everyMs: 2 })
      t.after(async () => {
        await site.cleanUp()
        disk.cleanUp()
      })
      disk.mount(256)
      const store = everything ? `${disk.path}/store` : `${site.daemon.folder}/store`
      // No reserve, which would keep it from being full.
      const spool = `reserve: 0, spool: { path: ${disk.path}/spool, segment_age: 100ms }`
      site.configure(
        `{ engine: embedded, path: ${store}, ${spool} }`,
        ...(everything ? [`${disk.path}/state`] : []),
      )
      await site.start()
      await site.sendFor(500)
      await site.settled()
      const normal = await site.banDelay()

      await disk.fill()
      for (let i = 0; i < BATCHES; i++) await site.send()
      await site.spoolIs('degraded')
      assert.ok((await site.metric('flowdam_spool_failures_total{reason="ENOSPC"}')) > 0)
      assert.equal(await site.metric('flowdam_spool_up'), 0)
      assert.deepEqual(await site.health('/spool'), { status: 200, state: 'degraded' })
      await site.daemon.logged('spool cannot write; agents keep their batches')
      const full = await site.banDelayBelow(2 * normal + 100)
      t.diagnostic(`flood to hook, median: ${normal.toFixed(0)} ms, disk full: ${full.toFixed(0)} ms`)

      await site.kill()
      await site.start()
      await site.banDelay(1)
      await site.spoolIs('degraded')

      disk.relieve()
      await site.settled()
      assert.deepEqual((await site.status()).drops, [])
      await site.spoolIs('ok')
      await site.daemon.logged('spool writes again')
      assert.equal(await site.daemon.end('SIGTERM'), 0)
      const engine = new EmbeddedEngine({ path: `${store}/clickhouse`, memoryBytes: 1e9, log: quietLog() })
      await engine.start()
      const [account] = await engine.query<Account>(ACCOUNT, {}, { timeoutMs: 60_000, maxMemoryBytes: 1e9 })
      await engine.stop()
      assert.deepEqual(numbers(account), whole(site.records.sent))
    })
  }
})
