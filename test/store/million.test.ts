// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { zStore } from '@flowdam/aggregator/internal/store/config'
import { TestAgent } from '@flowdam/aggregator/internal/testing/agent-client'
import { DataHalf } from '@flowdam/aggregator/internal/testing/data-half'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { RECORD_SIZE } from '@flowdam/proto'

test('one million flow records through gRPC into the embedded store: counted, none lost, sums equal', async (t) => {
  const path = await mkdtemp(join(tmpdir(), 'flowdam-million-'))
  const half = new DataHalf(zStore.parse({ engine: 'embedded', path }))
  await half.start()
  t.after(async () => {
    await half.stop()
    await rm(path, { recursive: true })
  })
  const total = 1_000_000
  const { records, sums } = makeRecords(total, 1)
  const agent = new TestAgent({ address: half.address, agentId: 'edge1', bootId: 1, returns: true })
  await agent.connect()
  const now = Date.now()
  for (let at = 0; at < total; at += 10_000) {
    await agent.send(records.subarray(at * RECORD_SIZE, (at + 10_000) * RECORD_SIZE), now - 5000)
  }
  await agent.drained()
  agent.disconnect()
  await half.settled()

  const [row] = await half.store.query<Record<string, string | number>>(
    `SELECT count() AS records, sum(packets) AS p, sum(bytes) AS b, min(time) >= fromUnixTimestamp64Milli({from:Int64}) AS notBefore,
      max(time) < fromUnixTimestamp64Milli({to:Int64}) AS notAfter, uniqExact(src_addr, dst_addr, src_port, dst_port, protocol, time) AS keys,
      countIf(agent = 'edge1' AND interface = 'eth0' AND boundary = 'external') AS named,
      countIf(direction = 'egress') AS egress FROM flowdam.flows`,
    { from: now - 5000, to: now },
    { timeoutMs: 60_000, maxMemoryBytes: 2e9 },
  )
  let egress = 0
  for (let at = 37; at < records.length; at += RECORD_SIZE) if (records[at] === 0x80) egress++
  assert.equal(Number(row?.['records']), total)
  assert.equal(Number(row?.['p']), sums.packets)
  assert.equal(Number(row?.['b']), sums.bytes)
  assert.equal(Number(row?.['named']), total)
  assert.equal(Number(row?.['egress']), egress)
  assert.equal(Number(row?.['notBefore']), 1)
  assert.equal(Number(row?.['notAfter']), 1)
  assert.deepEqual(half.flows, { received: total, duplicate: 0, spooled: total, stored: total })
  assert.deepEqual(half.drops.snapshot(), [])
})
