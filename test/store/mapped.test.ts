// SPDX-License-Identifier: Apache-2.0
//
// A real server, as old as they come (Debian's 18.16: no input(), no IPv6, no codecs, no tokens), and a table of its
// owner's own: gRPC → spool → text over HTTP → rows, each once, whatever happens to the server.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { zStore } from '@flowdam/aggregator/internal/store/config'
import { TestAgent } from '@flowdam/aggregator/internal/testing/agent-client'
import { DataHalf } from '@flowdam/aggregator/internal/testing/data-half'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { NO_SERVER, TestServer } from './clickhouse-server.js'

const BATCH = 2000

describe('a table of their own on an old server', { skip: NO_SERVER, timeout: 800_000 }, () => {
  const server = new TestServer()
  const path = mkdtempSync(join(tmpdir(), 'flowdam-mapped-'))
  const sent = { rows: 0, packets: 0, bytes: 0 }
  let half: DataHalf
  let agent: TestAgent
  let number = 0

  before(async () => {
    await server.start()
    await server.query(`CREATE TABLE default.netflow (day Date, ts DateTime, src String, dst String, sport UInt16, dport UInt16,
      proto UInt8, octets UInt64, pkts UInt32, router String, seg UInt64, site String DEFAULT 'fra1')
      ENGINE = MergeTree(day, (ts, dst), 8192)`)
    half = new DataHalf(
      zStore.parse({
        engine: 'clickhouse',
        url: server.url,
        database: 'default',
        user: 'writer',
        password: 'secret',
        path,
        table: {
          name: 'netflow',
          columns: {
            day: 'date',
            ts: 'time',
            src: 'src_addr',
            dst: 'dst_addr',
            sport: 'src_port',
            dport: 'dst_port',
            proto: 'protocol',
            octets: 'bytes',
            pkts: 'packets',
            router: 'agent',
            seg: 'segment',
          },
        },
        spool: { segment_age: '100ms', segment_rows: '20k' },
      }),
    )
    await half.start()
    agent = new TestAgent({ address: half.address, agentId: 'edge1', bootId: 1, returns: true })
    await agent.connect()
  })
  after(async () => {
    agent.disconnect()
    await half.stop()
    await server.cleanUp()
    rmSync(path, { recursive: true })
  })

  const push = async (batches: number, epochStartUnixMs = Date.now() - 5000) => {
    for (let i = 0; i < batches; i++) {
      const { records, sums } = makeRecords(BATCH, ++number)
      await agent.send(records, epochStartUnixMs)
      sent.rows += sums.records
      sent.packets += sums.packets
      sent.bytes += sums.bytes
    }
    await agent.drained()
  }
  const stored = async () => {
    const [rows, packets, bytes] = (
      await server.query('SELECT count(), sum(pkts), sum(octets) FROM default.netflow')
    ).split('\t')
    return { rows: Number(rows), packets: Number(packets), bytes: Number(bytes) }
  }

  it('gets every flow, in its own columns, IPv4 with dots', async () => {
    await push(20)
    await half.settled()
    assert.deepEqual(await stored(), sent)
    const wrong =
      await server.query(`SELECT count() FROM default.netflow WHERE day != toDate(ts, 'UTC') OR router != 'edge1'
      OR site != 'fra1' OR NOT (match(dst, '^203\\\\.|^204\\\\.') OR startsWith(dst, '2001:db8:')) OR ts > now() OR ts < now() - 3600`)
    assert.equal(wrong, '0')
    assert.deepEqual(half.drops.snapshot(), [])
  })

  it('over midnight', async () => {
    await push(2, Math.floor((Date.now() - 60_000) / 86_400_000) * 86_400_000 - 2500)
    await half.settled()
    assert.deepEqual(await stored(), sent)
  })

  it('and each once, when the server is killed while it is written to', async () => {
    for (const afterMs of [0, 20, 60, 150, 300]) {
      const pushed = push(20)
      await sleep(afterMs)
      await server.kill('SIGKILL')
      await pushed
      await server.start()
      await half.settled()
    }
    assert.deepEqual(await stored(), sent)
  })

  it('says what is wrong with the table, in the words of the server, and heals', async () => {
    await server.query('RENAME TABLE default.netflow TO default.elsewhere')
    await push(1)
    while (half.store.status().state !== 'failed') await sleep(20)
    assert.match(half.store.status().lastError, /netflow/)
    await server.query('RENAME TABLE default.elsewhere TO default.netflow')
    await half.settled()
    assert.deepEqual(await stored(), sent)
    assert.equal(half.store.status().state, 'ok')
  })

  it('names a column that is not there, before anything is loaded', async () => {
    const { url } = server
    const other = mkdtempSync(join(tmpdir(), 'flowdam-mapped-'))
    const config = zStore.parse({
      engine: 'clickhouse',
      url,
      database: 'default',
      path: other,
      table: { name: 'netflow', columns: { ts: 'time', proto_number: 'protocol' } },
    })
    const wrong = new DataHalf(config)
    await wrong.start()
    while (wrong.store.status().state !== 'failed') await sleep(20)
    assert.match(wrong.store.status().lastError, /no column proto_number/)
    await wrong.stop()
    rmSync(other, { recursive: true })
  })
})
