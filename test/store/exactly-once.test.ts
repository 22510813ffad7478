// SPDX-License-Identifier: Apache-2.0
//
// Spool, loader and the embedded engine together: whatever happens to an insert, a segment is in the table once.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BatchOrigin, newFlowCounters } from '@flowdam/aggregator/internal/contracts'
import { DropCounter } from '@flowdam/aggregator/internal/drops'
import { FlowQueries } from '@flowdam/aggregator/internal/flows/queries'
import { Turns } from '@flowdam/aggregator/internal/flows/turns'
import { SourceRegistry } from '@flowdam/aggregator/internal/sources/registry'
import { Spool } from '@flowdam/aggregator/internal/spool/spool'
import { spoolOptions, zStore } from '@flowdam/aggregator/internal/store/config'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import { type Engine, StoreFailure } from '@flowdam/aggregator/internal/store/engine'
import { Store } from '@flowdam/aggregator/internal/store/store'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { createLogger } from '@flowdam/common'
import type { Flow, QueryFlowsRequest } from '@flowdam/proto'

const LIMITS = { timeoutMs: 60_000, maxMemoryBytes: 2e9 }
const QUERY: QueryFlowsRequest = {
  sinceUnixMs: 0,
  untilUnixMs: 0,
  host: '',
  src: '',
  dst: '',
  protocol: 0,
  port: 0,
  agent: '',
  limit: 0,
  aggregate: false,
  orderBy: '',
  pageToken: '',
}

/** An engine with a fault before or behind it. */
class Faulty implements Engine {
  readonly kind = 'embedded'
  readonly database = 'flowdam'
  readonly inner: EmbeddedEngine
  load: Engine['load']
  constructor(inner: EmbeddedEngine) {
    this.inner = inner
    this.load = (file, statement) => inner.load(file, statement)
  }
  start = () => this.inner.start()
  stop = () => this.inner.stop()
  command = (sql: string) => this.inner.command(sql)
  background = (sql: string) => this.inner.background(sql)
  allowMerges = (allowed: boolean) => this.inner.allowMerges(allowed)
  space = () => this.inner.space()
  insertRows = (table: string, rows: readonly object[]) => this.inner.insertRows(table, rows)
  query: Engine['query'] = (sql, params, limits) => this.inner.query(sql, params, limits)
}

describe('a segment is stored exactly once', { timeout: 800_000 }, () => {
  const path = mkdtempSync(join(tmpdir(), 'flowdam-once-'))
  const config = zStore.parse({ engine: 'embedded', path })
  const drops = new DropCounter()
  const flows = newFlowCounters()
  const log = createLogger('test')
  log.level = 'silent'
  const shared = { drops, flows, log }
  const sources = new SourceRegistry(path)
  const spool = new Spool({ ...spoolOptions(config), ...shared, maxAgeMs: 1e9 })
  const embedded = new EmbeddedEngine({ path: join(path, 'clickhouse'), memoryBytes: 2e9, log })
  const engine = new Faulty(embedded)
  const store = new Store({ config, spool, sources, engine, ...shared })
  const origin: BatchOrigin = {
    id: 'edge1',
    clockSkewMs: 0,
    sourceOfIface: new Uint16Array(256),
    learnIface(iface) {
      this.sourceOfIface[iface] = sources.number('edge1', `eth${iface & 0x7f}`, iface > 0x7f, 'external')
    },
  }
  const sent = { rows: 0, packets: 0, bytes: 0 }
  let seq = 0

  const push = async (count: number, epochStartUnixMs = Date.now() - 5000) => {
    const { records, sums } = makeRecords(count, ++seq)
    await spool.append(origin, {
      bootId: 1,
      seq,
      epochStartUnixMs,
      epochMs: 5000,
      records,
      ledgers: [],
      lost: undefined,
    })
    sent.rows += count
    sent.packets += sums.packets
    sent.bytes += sums.bytes
    await spool.flush()
  }
  const settled = async () => {
    while (spool.status().rows > 0) await sleep(10)
  }
  const stored = async () => {
    const [row] = await store.query<Record<string, string>>(
      'SELECT count() AS rows, sum(packets) AS packets, sum(bytes) AS bytes FROM flowdam.flows',
      {},
      LIMITS,
    )
    return { rows: Number(row?.['rows']), packets: Number(row?.['packets']), bytes: Number(row?.['bytes']) }
  }
  /** The next load goes through `fault`, those after it do not. */
  const once = (fault: Engine['load']) => {
    engine.load = (file, statement) => {
      engine.load = (later, again) => embedded.load(later, again)
      return fault(file, statement)
    }
  }

  before(async () => {
    sources.start()
    await spool.start()
    store.start()
    await store.ready()
  })
  after(async () => {
    await spool.stop()
    await store.stop()
    sources.stop()
    rmSync(path, { recursive: true })
  })

  it('without a fault', async () => {
    await push(20_000)
    await settled()
    assert.deepEqual(await stored(), sent)
  })

  it('when the answer of an insert is lost', async () => {
    once(async (file, statement) => {
      await embedded.load(file, statement)
      throw new StoreFailure('retry', 'connection reset', { uncertain: true })
    })
    await push(20_000)
    await settled()
    assert.deepEqual(await stored(), sent)
    assert.equal(store.loaderStatus().retries.retry, 1)
  })

  it('when the same insert runs three times, by its token alone', async () => {
    once(async (file, statement) => {
      for (let i = 0; i < 3; i++) await embedded.load(file, statement)
    })
    await push(20_000)
    await settled()
    assert.deepEqual(await stored(), sent)
  })

  it('when the database process is killed at any moment of an insert', async () => {
    for (const afterMs of [0, 5, 10, 20, 30, 45, 60, 90, 120, 160]) {
      once(async (file, statement) => {
        const { pid } = embedded
        const insert = embedded.load(file, statement)
        await Promise.race([sleep(afterMs), insert.catch(() => undefined)])
        if (pid !== undefined && pid === embedded.pid) process.kill(pid, 'SIGKILL')
        while (embedded.pid === pid) await sleep(1)
        await insert
      })
      await push(150_000)
      await settled()
    }
    assert.deepEqual(await stored(), sent)
  })

  it('when the deduplication log has the token but the part was never published', async () => {
    once(async (file, statement) => {
      await embedded.load(file, statement)
      // What a kill between the log's entry and the part's rename leaves behind.
      const [part] = await embedded.query<{ name: string }>(
        "SELECT name FROM system.parts WHERE table = 'flows' AND active ORDER BY modification_time DESC, max_block_number DESC LIMIT 1",
        {},
        LIMITS,
      )
      const pid = embedded.pid ?? 0
      process.kill(pid, 'SIGKILL')
      while (embedded.pid === pid) await sleep(5)
      assert.ok(removePart(join(path, 'clickhouse'), part?.name ?? ''))
      throw new StoreFailure('retry', 'killed', { uncertain: true })
    })
    await push(20_000)
    await settled()
    assert.deepEqual(await stored(), sent)
  })

  it('over midnight, as one part for each day', async () => {
    const midnight = Math.floor((Date.now() - 60_000) / 86_400_000) * 86_400_000
    await push(10_000, midnight - 2500)
    await settled()
    assert.deepEqual(await stored(), sent)
    const days = await store.query<{ day: string; rows: string }>(
      'SELECT toString(toDate(time)) AS day, count() AS rows FROM flowdam.flows WHERE time < fromUnixTimestamp64Milli({from:Int64}) AND time >= fromUnixTimestamp64Milli({from:Int64} - 2500) GROUP BY day',
      { from: midnight },
      LIMITS,
    )
    assert.equal(days.length, 1)
    assert.ok(Number(days[0]?.rows) > 4000)
  })

  it('sets aside what can never load, with the reason, and goes on', async () => {
    const before = await stored()
    once(async (file, statement) => {
      truncateSync(file, 6400 - 3)
      await embedded.load(file, statement)
    })
    await push(100)
    await settled()
    assert.equal(drops.get('store', 'dead_letter'), 100)
    const letters = readdirSync(join(path, 'spool', 'dead-letter'))
    const note = letters.find((name) => name.endsWith('.json')) ?? ''
    assert.match(readFileSync(join(path, 'spool', 'dead-letter', note), 'utf8'), /Cannot read all data/)
    await push(100)
    await settled()
    assert.equal((await stored()).rows, before.rows + 100)
    assert.equal(store.status().state, 'ok')
  })

  it('says so when the table does not fit, and heals when it does again', async () => {
    const before = await stored()
    await embedded.command('ALTER TABLE flowdam.flows RENAME COLUMN dscp TO dscp_gone')
    await push(100)
    while (store.status().state !== 'failed') await sleep(10)
    assert.match(store.status().lastError, /dscp/)
    await embedded.command('ALTER TABLE flowdam.flows RENAME COLUMN dscp_gone TO dscp')
    await settled()
    assert.equal((await stored()).rows, before.rows + 100)
    assert.equal(store.status().state, 'ok')
  })

  it('is found by flow queries, whose text never becomes SQL', async () => {
    const queries = new FlowQueries(store, new Turns())
    await push(1000)
    await settled()
    const all = await queries.query({ ...QUERY, limit: 5, orderBy: 'bytes' })
    assert.equal(all.flows.length, 5)
    assert.ok((all.flows[0]?.bytes ?? 0) >= (all.flows[4]?.bytes ?? 0))
    const [first] = all.flows
    assert.ok(first)
    const one = await queries.query({
      ...QUERY,
      src: first.srcAddr,
      dst: first.dstAddr,
      protocol: first.protocol,
      port: first.dstPort,
      agent: 'edge1',
    })
    assert.deepEqual(one.flows[0], first)
    assert.equal(one.totalFlows, 1)
    const prefix = await queries.query({ ...QUERY, host: '2001:db8::/32', aggregate: true, limit: 10_000 })
    assert.ok(prefix.flows.length > 50)
    assert.ok(prefix.flows.every(({ dstAddr }) => dstAddr.startsWith('2001:db8:')))
    const nothing = await queries.query({ ...QUERY, agent: "x' OR 1=1 --" })
    assert.equal(nothing.totalFlows, 0)
    await assert.rejects(queries.query({ ...QUERY, host: "1' OR '1'='1" }), { code: 'FD_QUERY_INVALID' })
    await assert.rejects(queries.query({ ...QUERY, orderBy: 'time; DROP TABLE flows' }), {
      code: 'FD_QUERY_INVALID',
    })
  })

  it('gives the same flows page by page, as a stream, and all at once', async () => {
    const queries = new FlowQueries(store, new Turns())
    // A time of their own: other tests here store hundreds of thousands.
    const sinceUnixMs = Date.now() - 3 * 3_600_000
    const times = { ...QUERY, sinceUnixMs, untilUnixMs: sinceUnixMs + 10_000 }
    await push(12_000, sinceUnixMs)
    await settled()
    const { totalFlows } = await queries.query({ ...times, limit: 1 })
    assert.equal(totalFlows, 12_000)
    const sorted = (flows: readonly Flow[]) => flows.map((flow) => JSON.stringify(flow)).sort()
    const paged = async (request: QueryFlowsRequest) => {
      const flows: Flow[] = []
      let pageToken = ''
      do {
        const page = await queries.query({ ...request, pageToken })
        flows.push(...page.flows)
        assert.equal(page.totalFlows, totalFlows)
        pageToken = page.nextPageToken
      } while (pageToken !== '')
      return flows
    }
    const streamed: Flow[] = []
    for await (const part of queries.stream(times, new AbortController().signal)) streamed.push(...part)
    assert.equal(streamed.length, totalFlows)
    // Pages end in the middle of flows of the same millisecond.
    const limit = Math.ceil(totalFlows / 13)
    const byTime = await paged({ ...times, limit })
    assert.deepEqual(sorted(byTime), sorted(streamed))
    assert.ok(byTime.every(({ timeUnixMs }, at) => timeUnixMs <= (byTime[at - 1]?.timeUnixMs ?? timeUnixMs)))
    assert.deepEqual(sorted(await paged({ ...times, limit, orderBy: 'bytes' })), sorted(streamed))
    const some: Flow[] = []
    for await (const part of queries.stream({ ...times, limit: 42 }, new AbortController().signal))
      some.push(...part)
    assert.deepEqual(some, streamed.slice(0, 42))
    const { nextPageToken } = await queries.query({ ...times, limit: 5 })
    await assert.rejects(queries.query({ ...times, orderBy: 'bytes', pageToken: nextPageToken }), {
      code: 'FD_ARGUMENT',
    })
  })

  it('shows people the columns they know', async () => {
    const [row] = await store.query<Record<string, unknown>>(
      "SELECT * FROM flowdam.fastnetmon_flows WHERE dst_ip LIKE '203.%' LIMIT 1",
      {},
      LIMITS,
    )
    const names = [
      'timestamp',
      'src_ip',
      'dst_ip',
      'src_port',
      'dst_port',
      'protocol',
      'packets',
      'bytes',
      'vlan_id',
    ]
    assert.deepEqual(Object.keys(row ?? {}), names)
  })
})

/** Whether there was one. */
function removePart(folder: string, name: string): boolean {
  const found = readdirSync(folder, { withFileTypes: true, recursive: true }).filter(
    (entry) => entry.isDirectory() && entry.name === name,
  )
  for (const entry of found) rmSync(join(entry.parentPath, name), { recursive: true })
  return found.length > 0
}
