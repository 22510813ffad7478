// SPDX-License-Identifier: Apache-2.0
//
// The link is away while packets flow, and comes back in a flood. FLOWDAM_OUTAGE_S=60: as long as what the project
// promises to survive.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RECORD_SIZE } from '@flowdam/proto'
import { CUSTOMER_NETWORKS } from '@flowdam/scripts/lab/network'
import { type FlowSent, Traffic, type TrafficReport } from '@flowdam/scripts/lab/traffic'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { storedFlows } from '../lab/database.js'
import { Field } from './field.js'

const OUTAGE_S = Number(process.env['FLOWDAM_OUTAGE_S'] ?? 15)
const FLOWS = 4000
/** Of everything but the floods: 200 addresses, each far below the threshold, but not in what 15 s add up to. */
const USUAL_PPS = 20_000
const THRESHOLD_PPS = 1500
const FLOOD_PPS = 10_000
/** Ports that flows of the mix never have together, so that keys cannot meet. */
const FLOOD_FLOWS = 50

describe(`both daemons and an outage of ${OUTAGE_S} s`, { timeout: (OUTAGE_S * 6 + 180) * 1000 }, () => {
  const field = new Field()
  const runs: Traffic[] = []
  const sent = new Map<string, FlowSent>()
  let usual: Traffic
  let victims = 0
  const usually: number[] = []

  const send = (...args: string[]): Traffic => {
    const run = new Traffic(field.network, { from: 'internet', args, perFlow: true })
    runs.push(run)
    run.start()
    return run
  }
  const count = async (name: string) => (await field.metrics('agent'))?.get(name) ?? Number.NaN
  const bans = () =>
    field.lines('aggregator').flatMap(({ msg, prefix, time }) => {
      return msg.startsWith('banned') ? [{ prefix: String(prefix), atMs: Date.parse(String(time)) }] : []
    })

  /** Milliseconds from a flood's first packet to its ban. */
  async function flood(): Promise<number> {
    const victim = `203.0.113.${240 + victims++}`
    const seed = String(1000 + victims)
    const run = send(
      ...['--profile', 'udp-flood', '--victim', victim, '--flows', String(FLOOD_FLOWS), '--seed', seed],
      ...['--rate', String(FLOOD_PPS), '--count', String(FLOOD_PPS * 2)],
    )
    const { started_unix_ms } = await run.ended()
    const ban = await waitFor(`a ban of ${victim}`, () =>
      bans().find(({ prefix }) => prefix === victim || prefix === `${victim}/32`),
    )
    return ban.atMs - started_unix_ms
  }

  before(async () => {
    await field.start()
    await field.link.slow(10)
    field.configure('aggregator', {
      ban: { dry_run: true },
      hostgroups: [
        {
          name: 'all',
          prefixes: CUSTOMER_NETWORKS,
          incoming: { pps: THRESHOLD_PPS },
          window: '1s',
        },
      ],
    })
    // Far less memory than the outage brings: it goes over the disk. Twice the rate of what comes anew: afterwards the
    // backlog takes as long as the outage lasted.
    field.configure('agent', { queue: '1MiB', export_interval: '1s', export_rate: FLOWS * 2 })
    field.run('aggregator')
    field.run('agent')
    await field.until('a stream', 'agent', (value) => value('flowdam_agent_connected') === 1)
    usual = send('--flows', String(FLOWS), '--rate', String(USUAL_PPS))
  })
  after(() => field.stop())

  it('before it a flood is banned at once', async (test) => {
    for (let i = 0; i < 3; i++) usually.push(await flood())
    test.diagnostic(`from a flood's first packet to its ban: ${usually.join(', ')} ms`)
  })

  it('what the packets of the outage amount to goes to the disk', async () => {
    await field.link.cut()
    await sleep(OUTAGE_S * 1000)
    assert.equal(await count('flowdam_agent_connected'), 0)
    assert.ok((await count('flowdam_agent_queue_bytes')) <= 1 << 20)
    assert.ok((await count('flowdam_agent_spool_bytes')) > (OUTAGE_S * FLOWS * RECORD_SIZE) / 2)
  })

  it('a flood that comes with the link is banned while the backlog is still under way', async (test) => {
    const backlog = await count('flowdam_agent_queue_records')
    const before = bans().length
    await field.link.restore()
    await field.until('a stream', 'agent', (value) => value('flowdam_agent_connected') === 1)
    const delays: number[] = []
    const left: number[] = []
    while (delays.length < 3) {
      delays.push(await flood())
      left.push(await count('flowdam_agent_queue_records'))
    }
    test.diagnostic(
      `backlog ${backlog} records, after each flood ${left.join(', ')}; ` +
        `to the ban ${delays.join(', ')} ms, without a backlog ${usually.join(', ')} ms`,
    )
    assert.ok((left[0] ?? 0) > backlog / 10, 'the backlog had gone before the flood was over')
    assert.equal(
      bans().length - before,
      delays.length,
      'the sums of the outage were taken for floods, or a flood was missed',
    )
  })

  it('everything arrives, once and in order', async (test) => {
    const began = performance.now()
    const all: TrafficReport[] = [await usual.stop()]
    for (const run of runs.slice(1)) all.push(await run.ended())
    await waitFor('the last packets', async () => {
      return (await field.uplink()).rx >= all.reduce((sum, { packets }) => sum + packets, 0)
    })
    await field.until(
      'the backlog',
      'agent',
      (value) => value('flowdam_agent_queue_batches') <= 1 && value('flowdam_agent_spool_bytes') === 0,
      (OUTAGE_S * 2 + 60) * 1000,
    )
    test.diagnostic(`the backlog took another ${Math.round(performance.now() - began)} ms`)
    await field.end('agent', 'SIGTERM')
    await field.until('the store', 'aggregator', (value) => value('flowdam_store_spool_segments') === 0)
    const metrics = await field.metrics('aggregator')
    assert.equal(metrics?.get('flowdam_dropped_total{stage="ingest",reason="gap"}') ?? 0, 0)
    await field.end('aggregator', 'SIGTERM')
    for (const run of runs) {
      for (const [key, flow] of run.flows()) {
        const known = sent.get(key)
        sent.set(
          key,
          known ? { ...flow, packets: known.packets + flow.packets, bytes: known.bytes + flow.bytes } : flow,
        )
      }
    }
    const wanted = new Map([...sent].map(([key, { packets, bytes }]) => [key, { packets, bytes }]))
    const stored = new Map(
      [...storedFlows(field.storeFolder, 'ingress')].map(([key, { packets, bytes }]) => [
        key,
        { packets, bytes },
      ]),
    )
    const wrong = [...wanted].filter(
      ([key, flow]) => JSON.stringify(flow) !== JSON.stringify(stored.get(key)),
    )
    assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${wanted.size} flows differ`)
    assert.equal(stored.size, wanted.size)
  })
})
