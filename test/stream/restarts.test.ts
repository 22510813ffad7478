// SPDX-License-Identifier: Apache-2.0
//
// An agent without pinned maps, as far as its stream goes: torn down and made anew from its spool, each time with a new
// boot, while a real aggregator is killed and links are cut and slow. FLOWDAM_CHAOS_FAULTS and FLOWDAM_CHAOS_SEED.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { TestDaemon } from '@flowdam/aggregator/internal/testing/daemon'
import { encodeRecord, RECORD_SIZE } from '@flowdam/proto'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { DelayProxy } from '@flowdam/scripts/net/delay-proxy'
import { storedFlows } from '../lab/database.js'
import { Sender } from './stand.js'

const FAULTS = Number(process.env['FLOWDAM_CHAOS_FAULTS'] ?? 20)
const SEED = Number(process.env['FLOWDAM_CHAOS_SEED'] ?? Date.now() % 2 ** 31)
const FLOWS = 50
const RECORDS = 100

describe(`new boots: ${FAULTS} faults, seed ${SEED}`, { timeout: 800_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-chaos-'))
  const daemon = new TestDaemon()
  const sent = new Map<string, number>()
  let proxy: DelayProxy
  let agent: Sender
  let boot = 0
  let state = SEED || 1

  const next = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return (state >>> 8) % below
  }
  let metrics = ''
  const start = async () => {
    const { grpc, http } = await daemon.start()
    metrics = `http://${http}/metrics`
    return Number(grpc.split(':')[1])
  }

  const newAgent = () => {
    boot++
    agent = new Sender({
      targets: [`127.0.0.1:${proxy.port}`],
      bootId: Date.now() + boot,
      memory: 1 << 20,
      spool: join(folder, 'spool'),
    })
    agent.start()
  }

  /** Packets of each of the flows, different in each record. */
  const records = (): Buffer => {
    const buffer = Buffer.alloc(RECORDS * RECORD_SIZE)
    for (let i = 0; i < RECORDS; i++) {
      const flow = next(FLOWS)
      const packets = 1 + next(1000)
      const key = `198.51.100.${flow} 203.0.113.1 ${1000 + flow} 53 17 0`
      sent.set(key, (sent.get(key) ?? 0) + packets)
      const srcAddr = new Uint8Array(16)
      srcAddr.set([0xff, 0xff, 198, 51, 100, flow], 10)
      const dstAddr = new Uint8Array(16)
      dstAddr.set([0xff, 0xff, 203, 0, 113, 1], 10)
      encodeRecord(
        {
          srcAddr,
          dstAddr,
          srcPort: 1000 + flow,
          dstPort: 53,
          protocol: 17,
          iface: 0,
          vlan: 0,
          bytes: packets * 100,
          packets,
          firstMs: 1,
          durationMs: 10,
          source: 0,
          tcpFlags: 0,
          dscp: 0,
          marks: 0,
          ttl: 64,
        },
        buffer,
        i * RECORD_SIZE,
      )
    }
    return buffer
  }

  before(async () => {
    daemon.configure('networks: [203.0.113.0/24]')
    proxy = new DelayProxy({ target: { host: '127.0.0.1', port: await start() }, oneWayMs: 2 })
    await proxy.start()
    newAgent()
  })
  after(async () => {
    await agent.stop()
    await proxy.stop()
    await daemon.cleanUp()
    rmSync(folder, { recursive: true })
  })

  it('packets sent are packets stored, per flow, nothing doubled', async () => {
    for (let fault = 0; fault < FAULTS; fault++) {
      for (let i = 0; i < 5; i++) {
        agent.pushRecords(records())
        await sleep(20)
      }
      const kind = next(4)
      if (kind === 0) {
        await daemon.end('SIGKILL')
        agent.pushRecords(records())
        proxy.retarget(await start())
      } else if (kind === 1) {
        proxy.cut()
        for (let i = 0; i < 3; i++) agent.pushRecords(records())
        await sleep(next(1500))
        proxy.restore()
      } else if (kind === 2) {
        proxy.slow(next(200))
      } else {
        await agent.stop(next(2) * 500)
        newAgent()
      }
    }
    proxy.slow(1)
    await waitFor('all to be acknowledged', () => (agent.queue.batches === 0 ? true : undefined), 120_000)
    assert.deepEqual(
      Object.values(agent.queue.dropped).filter((count) => count > 0),
      [],
    )
    await waitFor('the spool to be in the database', async () => {
      const text = await (await fetch(metrics)).text()
      return /^flowdam_store_spool_segments 0$/m.test(text) ? true : undefined
    })
    await daemon.end('SIGTERM')
    const stored = storedFlows(join(daemon.folder, 'store'), 'ingress')
    assert.deepEqual(new Map([...stored].map(([key, { packets }]) => [key, packets])), sent)
  })
})
