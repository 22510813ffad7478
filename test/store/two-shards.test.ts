// SPDX-License-Identifier: Apache-2.0
//
// Two real servers as two shards, a Distributed table over them, and our table's definition in the words of servers of
// their time: each flow is there once, on one of the two, whatever happens to either.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { zStore } from '@flowdam/aggregator/internal/store/config'
import { plainTable } from '@flowdam/aggregator/internal/store/mapped/plain-ddl'
import { FLOWS, SCHEMA_DEFAULTS } from '@flowdam/aggregator/internal/store/schema'
import { TestAgent } from '@flowdam/aggregator/internal/testing/agent-client'
import { DataHalf } from '@flowdam/aggregator/internal/testing/data-half'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { NO_SERVER, TestServer } from './clickhouse-server.js'

const BATCH = 2000
const SUMS = 'count(), sum(packets), sum(bytes)'

describe('two servers as two shards', { skip: NO_SERVER, timeout: 800_000 }, () => {
  const servers = [new TestServer(), new TestServer()] as const
  const [first, second] = servers
  const path = mkdtempSync(join(tmpdir(), 'flowdam-shards-'))
  const sent = [0, 0, 0]
  let half: DataHalf
  let agent: TestAgent
  let number = 0

  before(async () => {
    const flows = plainTable(FLOWS(SCHEMA_DEFAULTS), 'default', 'shards')
    for (const server of servers) server.cluster = servers
    for (const server of servers) {
      await server.start()
      for (const statement of flows.statements) await server.query(statement)
    }
    half = new DataHalf(
      zStore.parse({
        engine: 'clickhouse',
        url: first.url,
        database: 'default',
        path,
        table: {
          name: 'flows',
          columns: flows.columns,
          shards: { table: 'flows_local', urls: servers.map(({ url }) => url) },
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
    for (const server of servers) await server.cleanUp()
    rmSync(path, { recursive: true })
  })

  const push = async (batches: number) => {
    for (let i = 0; i < batches; i++) {
      const { records, sums } = makeRecords(BATCH, ++number)
      await agent.send(records, Date.now() - 5000)
      for (const [at, more] of [sums.records, sums.packets, sums.bytes].entries())
        sent[at] = (sent[at] as number) + more
    }
    await agent.drained()
  }
  const sums = async (server: TestServer, table: string) =>
    (await server.query(`SELECT ${SUMS} FROM default.${table}`)).split('\t').map(Number)
  const exact = async () => {
    for (const server of servers) assert.deepEqual(await sums(server, 'flows'), sent)
    const [one, other] = [await sums(first, 'flows_local'), await sums(second, 'flows_local')]
    assert.deepEqual(
      one.map((value, at) => value + (other[at] as number)),
      sent,
    )
    return [one[0] as number, other[0] as number] as const
  }

  it('get every flow once, half of them each', async () => {
    await push(30)
    await half.settled()
    const [one, other] = await exact()
    for (const rows of [one, other]) assert.ok(rows > 0.45 * (one + other), `${one} and ${other}`)
    const wrong =
      await first.query(`SELECT count() FROM default.flows WHERE agent != 'edge1' OR boundary != 'external'
      OR NOT (match(dst_addr, '^203\\\\.|^204\\\\.') OR startsWith(dst_addr, '2001:db8:')) OR time > now() OR time < now() - 3600`)
    assert.equal(wrong, '0')
  })

  it('and still once, when either is killed while both are written to', async () => {
    for (const server of [second, first]) {
      for (const afterMs of [20, 100]) {
        const pushed = push(10)
        await sleep(afterMs)
        await server.kill('SIGKILL')
        await pushed
        await sleep(300)
        await server.start()
        await half.settled()
      }
    }
    await exact()
    assert.deepEqual(half.drops.snapshot(), [])
  })
})
