// SPDX-License-Identifier: Apache-2.0
//
// The real daemon and a database to which everything happens, in an order of chance: afterwards rows = records, in
// sums and one by one. FLOWDAM_FAULTS sets how many faults, FLOWDAM_SEED which, FLOWDAM_FAULTS_LONG=1 makes them last
// longer, one outage 60 s.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import { databaseOf } from '@flowdam/aggregator/internal/testing/processes'
import { quietLog } from '@flowdam/aggregator/internal/testing/quiet-log'
import { NO_SERVER, TestServer } from './clickhouse-server.js'
import { deal, makeRandom } from './faults/deck.js'
import { ModernServer } from './faults/modern-server.js'
import { ACCOUNT, type Account, numbers, whole } from './faults/numbered.js'
import { FaultProxy, MISHAPS } from './faults/proxy.js'
import { Site } from './faults/site.js'
import { NO_SMALL_DISK, SmallDisk } from './faults/small-disk.js'

const LONG = process.env['FLOWDAM_FAULTS_LONG'] === '1'
const FAULTS = Number(process.env['FLOWDAM_FAULTS'] ?? 50)
const SEED = Number(process.env['FLOWDAM_SEED'] ?? Math.floor(Math.random() * 1e9))
const EMBEDDED_FAULTS = Math.ceil(FAULTS / 5)
const OLD_FAULTS = Math.ceil(FAULTS / 7)
/** Lasting faults, longest. */
const LAST_MS = LONG ? 5000 : 1000
const OUTAGE_MS = LONG ? 60_000 : 3000
const CLIENT_TIMEOUT_MS = 1500
const PACE = { batch: 500, everyMs: 10 }
/** Many small inserts, so that faults meet them. */
const SPOOL = 'spool: { segment_rows: 10k, segment_age: 100ms }'

// The limits are for a hang only.
describe('everything happens to a server', { skip: NO_SMALL_DISK, timeout: 1_200_000 }, () => {
  const random = makeRandom(SEED)
  const disk = new SmallDisk()
  const server = new ModernServer(disk.path)
  const site = new Site(PACE)
  let proxy: FaultProxy

  before(async () => {
    disk.mount(512)
    await server.start()
    proxy = new FaultProxy({ serverPort: server.port, clientTimeoutMs: CLIENT_TIMEOUT_MS })
    await proxy.start()
    site.configure(
      `{ engine: clickhouse, url: '${proxy.url}', timeout: ${CLIENT_TIMEOUT_MS}ms, path: ${site.daemon.folder}/store, ${SPOOL} }`,
    )
    await site.start()
  })
  after(async () => {
    await site.cleanUp()
    await proxy?.stop()
    await server.kill()
    disk.cleanUp()
  })

  const lasting = () => LAST_MS * (0.2 + 0.8 * random())
  const faults = {
    'server killed': async () => {
      await server.kill()
      await site.sendFor(lasting() / 2)
      await server.start()
    },
    'aggregator killed': async () => {
      await site.kill()
      await site.start()
    },
    'server unreachable': async () => {
      await proxy.setWeather(random() < 0.5 ? 'refused' : 'silent')
      await site.sendFor(lasting())
      await proxy.setWeather('fine')
    },
    'server slow': async () => {
      await proxy.setWeather('slow')
      await site.sendFor(lasting())
      await proxy.setWeather('fine')
    },
    'disk of the server full': async () => {
      await disk.fill()
      await site.sendFor(lasting())
      disk.relieve()
      // It may have ended because it could not write; now it can.
      await server.query('SELECT 1').catch(() => server.start())
    },
    ...Object.fromEntries(
      MISHAPS.map((mishap) => [
        mishap,
        async () => {
          await site.sendUntil(mishap, proxy.next(mishap))
        },
      ]),
    ),
  }

  it(`${FAULTS} faults (seed ${SEED}): rows = records, each once`, async (t) => {
    const kinds = deal(Object.keys(faults) as (keyof typeof faults)[], FAULTS, random)
    await site.storeIsReady()
    await proxy.setWeather('refused')
    await site.sendFor(OUTAGE_MS)
    await proxy.setWeather('fine')
    for (const kind of kinds) {
      await faults[kind]()
      await site.sendFor(300 * random())
    }
    await site.settled()
    // What was held back comes when all is stored and deleted.
    await proxy.settled()
    t.diagnostic(`${site.records.sent.records} records, ${proxy.inserts} inserts: ${kinds.join(', ')}`)
    const [account] = await server.query<Account>(ACCOUNT)
    assert.deepEqual(numbers(account), whole(site.records.sent))
    assert.deepEqual((await site.status()).drops, [])
  })
})

describe('everything happens to the embedded database', { skip: NO_SMALL_DISK, timeout: 600_000 }, () => {
  const random = makeRandom(SEED + 1)
  const disk = new SmallDisk()
  const site = new Site(PACE)

  before(async () => {
    disk.mount(512)
    site.configure(
      `{ engine: embedded, path: ${disk.path}, ${SPOOL.replace('{', `{ path: ${site.daemon.folder}/spool,`)} }`,
    )
    await site.start()
  })
  after(async () => {
    await site.cleanUp()
    disk.cleanUp()
  })

  /** While no daemon has it. */
  const withDatabase = async <T>(work: (engine: EmbeddedEngine) => Promise<T>): Promise<T> => {
    const engine = new EmbeddedEngine({ path: `${disk.path}/clickhouse`, memoryBytes: 1e9, log: quietLog() })
    await engine.start()
    try {
      return await work(engine)
    } finally {
      await engine.stop()
    }
  }

  const lasting = () => LAST_MS * (0.2 + 0.8 * random())
  const signal = (name: NodeJS.Signals) => {
    const database = databaseOf(site.daemon.pid)
    if (database !== undefined) process.kill(database, name)
  }
  const faults = {
    'database killed': async () => signal('SIGKILL'),
    'aggregator killed': async () => {
      await site.kill()
      await site.start()
    },
    'database stands still': async () => {
      signal('SIGSTOP')
      await site.sendFor(lasting())
      signal('SIGCONT')
    },
    'disk of the database full': async () => {
      await disk.fill()
      await site.sendFor(lasting())
      disk.relieve()
    },
  }

  it(`${EMBEDDED_FAULTS} faults (seed ${SEED}): rows = records, each once`, async (t) => {
    const kinds = deal(Object.keys(faults) as (keyof typeof faults)[], EMBEDDED_FAULTS, random)
    await site.storeIsReady()
    for (const kind of kinds) {
      await site.sendFor(200 + 500 * random())
      await faults[kind]()
    }
    await site.settled()
    t.diagnostic(`${site.records.sent.records} records: ${kinds.join(', ')}`)
    assert.deepEqual((await site.status()).drops, [])
    assert.equal(await site.daemon.end('SIGTERM'), 0)
    const [account] = await withDatabase((engine) =>
      engine.query<Account>(ACCOUNT, {}, { timeoutMs: 60_000, maxMemoryBytes: 1e9 }),
    )
    assert.deepEqual(numbers(account), whole(site.records.sent))
  })
})

describe('much happens to a server of 2018', { skip: NO_SERVER, timeout: 600_000 }, () => {
  const random = makeRandom(SEED + 2)
  const server = new TestServer()
  const site = new Site({ batch: 500, everyMs: 20 })
  let proxy: FaultProxy

  before(async () => {
    await server.start()
    await server.query(`CREATE TABLE default.netflow (day Date, ts DateTime, src String, octets UInt64, pkts UInt32, seg UInt64)
      ENGINE = MergeTree(day, ts, 8192)`)
    proxy = new FaultProxy({
      serverPort: Number(new URL(server.url).port),
      clientTimeoutMs: CLIENT_TIMEOUT_MS,
    })
    await proxy.start()
    const table =
      '{ name: netflow, columns: { day: date, ts: time, src: src_addr, octets: bytes, pkts: packets, seg: segment } }'
    site.configure(
      `{ engine: clickhouse, url: '${proxy.url}', database: default, timeout: ${CLIENT_TIMEOUT_MS}ms, path: ${site.daemon.folder}/store, table: ${table}, ${SPOOL} }`,
    )
    await site.start()
  })
  after(async () => {
    await site.cleanUp()
    await proxy?.stop()
    await server.cleanUp()
  })

  const faults = {
    'server killed': async () => {
      await server.kill('SIGKILL')
      await site.sendFor(LAST_MS * random())
      await server.start()
    },
    'aggregator killed': async () => {
      await site.kill()
      await site.start()
    },
    ...Object.fromEntries(
      // It has no tokens: what comes late would be there twice (docs/store.md).
      MISHAPS.filter((mishap) => mishap !== 'late').map((mishap) => [
        mishap,
        async () => {
          await site.sendUntil(mishap, proxy.next(mishap))
        },
      ]),
    ),
  }

  it(`${OLD_FAULTS} faults (seed ${SEED}): rows = records, each once`, async (t) => {
    const kinds = deal(Object.keys(faults) as (keyof typeof faults)[], OLD_FAULTS, random)
    await site.storeIsReady()
    for (const kind of kinds) {
      await faults[kind]()
      await site.sendFor(300 * random())
    }
    await site.settled()
    const { records, packets, bytes } = site.records.sent
    t.diagnostic(`${records} records: ${kinds.join(', ')}`)
    assert.deepEqual((await site.status()).drops, [])
    const account = await server.query(
      'SELECT count(), sum(pkts), sum(octets), uniqExact(src) FROM default.netflow',
    )
    assert.deepEqual(account.split('\t').map(Number), [records, packets, bytes, records])
  })
})
