// SPDX-License-Identifier: Apache-2.0
//
// Both daemons with everything that is real: kernel, packets, pinned maps, spools, database; and the two equations that
// must hold whatever is killed or cut: with room for all, sent = stored; without, sent = stored + given up.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { databaseOf } from '@flowdam/aggregator/internal/testing/processes'
import { type FlowSent, Traffic, type TrafficReport } from '@flowdam/scripts/lab/traffic'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { type FlowStored, storedFlows } from '../lab/database.js'
import { type Daemon, Field } from './field.js'
import { randomOf, shuffledKinds } from './random.js'

const SEED = Number(process.env['FLOWDAM_CHAOS_SEED'] ?? Date.now() % 2 ** 31)
const KINDS = ['agent killed', 'aggregator killed', 'link cut', 'link slow', 'link frozen'] as const
/** After each fault the next comes within so many milliseconds. */
const LONGEST_PEACE_MS = 3000
/** A killed daemon is started again within so many, a cut link restored. */
const LONGEST_ABSENCE_MS = 2500
const SLOWEST_ONE_WAY_MS = 300
/** So far away that most epochs of 200 ms are not acknowledged yet when a kill comes. */
const USUAL_ONE_WAY_MS = 60
/** What an agent says that finds an epoch which the one before it had not got rid of. */
const RECOVERED = 'drained the epochs that an agent before this one had ended and left undone'

/** Both daemons have far less room than an outage needs. */
const CRAMPED = {
  agent: (field: Field) => ({
    queue: '1MiB',
    spool: { path: field.spoolFolder, max: '4MiB' },
    export_rate: '1M',
  }),
  aggregator: (field: Field) => ({
    store: { engine: 'embedded', path: field.storeFolder, spool: { max: '2M', when_full: 'drop' } },
  }),
}
const UNITS = ['records', 'packets', 'bytes'] as const

export interface ChaosForm {
  faults: number
  /** Flow detail must be dropped, at both ends. */
  cramped: boolean
  traffic: Record<'internet' | 'customer', { flows: string; rate: string }>
}

export function chaos({ faults: FAULTS, cramped, traffic: loads }: ChaosForm): void {
  describe(`${FAULTS} faults, seed ${SEED}`, { timeout: (300 + FAULTS * 15) * 1000 }, () => {
    const field = new Field()
    const next = randomOf(SEED)
    const done: Record<string, number> = {}
    const ways = [
      { from: 'internet', direction: 'ingress', ...loads.internet },
      { from: 'customer', direction: 'egress', ...loads.customer },
    ] as const
    const traffic: Traffic[] = []
    const reports: TrafficReport[] = []
    const sent: Record<string, Map<string, FlowSent>> = {}
    const stored: Record<string, Map<string, FlowStored>> = {}
    let healing: Promise<void>[] = []
    const lost = { agent: { records: 0, packets: 0, bytes: 0 }, spool: { records: 0, packets: 0, bytes: 0 } }

    /** In the background: the next fault may come before this one is over. */
    const heal = (afterMs: number, how: () => Promise<unknown>) => {
      healing.push(
        sleep(afterMs)
          .then(how)
          .then(() => undefined),
      )
    }

    const killed: Record<Daemon, Promise<void>> = { agent: Promise.resolve(), aggregator: Promise.resolve() }
    /** In whatever it is doing, its own start included; one that is away is let back first. */
    const kill = async (daemon: Daemon) => {
      await killed[daemon]
      await field.end(daemon, 'SIGKILL')
      killed[daemon] = sleep(next(LONGEST_ABSENCE_MS)).then(() => {
        field.run(daemon)
      })
    }

    const fault = async (kind: (typeof KINDS)[number]): Promise<void> => {
      switch (kind) {
        case 'agent killed':
          return await kill('agent')
        case 'aggregator killed':
          return await kill('aggregator')
        case 'link cut':
          await field.link.cut()
          return heal(next(LONGEST_ABSENCE_MS), () => field.link.restore())
        case 'link slow':
          await field.link.slow(next(SLOWEST_ONE_WAY_MS))
          return heal(next(2 * LONGEST_PEACE_MS), () => field.link.slow(USUAL_ONE_WAY_MS))
        case 'link frozen':
          return await field.link.freeze()
      }
    }

    /**
     * Until the agent has given something up, and then the aggregator, whose database stands still while all that waited
     * comes at once.
     */
    const outage = async () => {
      await Promise.all([...Object.values(killed), ...healing])
      healing = []
      await field.link.cut()
      await field.until('the agent to give flow detail up', 'agent', (value) =>
        ['queue_full', 'spool_slow', 'spool_failed', 'spool_full'].some(
          (reason) => value(`flowdam_agent_dropped_packets_total{reason="${reason}"}`) > 0,
        ),
      )
      // Half of the time the one that counted them does not live to tell.
      if (next(2) === 0) await kill('agent')
      const database = await waitFor('the database', () => databaseOf(field.pid('aggregator')))
      process.kill(database, 'SIGSTOP')
      await field.link.restore()
      await field.until('the aggregator to give flow detail up', 'aggregator', (value) =>
        ['full', 'queue_full'].some(
          (reason) => value(`flowdam_lost_records_total{stage="spool",reason="${reason}"}`) > 0,
        ),
      )
      process.kill(database, 'SIGCONT')
    }

    before(async () => {
      await field.start()
      if (cramped) {
        field.configure('agent', CRAMPED.agent(field))
        field.configure('aggregator', CRAMPED.aggregator(field))
      }
      await field.link.slow(USUAL_ONE_WAY_MS)
      field.run('aggregator')
      field.run('agent')
      await field.until('a stream', 'agent', (value) => value('flowdam_agent_connected') === 1)
    })
    after(() => field.stop())

    it('come while packets flow in both directions', async (test) => {
      for (const { from, flows, rate } of ways) {
        const args = ['--flows', flows, '--rate', rate, '--seed', String(1 + next(1e6))]
        const one = new Traffic(field.network, { from, args, perFlow: true })
        one.start()
        traffic.push(one)
      }
      for (const [index, kind] of shuffledKinds(KINDS, FAULTS, next).entries()) {
        if (cramped && index === FAULTS >> 1) await outage()
        await fault(kind)
        done[kind] = (done[kind] ?? 0) + 1
        // Now and then a stream again before the next, so that not every fault finds another one's ruins.
        if (next(4) === 0) {
          await Promise.all([...Object.values(killed), ...healing])
          healing = []
          await field.until('a stream', 'agent', (value) => value('flowdam_agent_connected') === 1)
        }
        await sleep(next(LONGEST_PEACE_MS))
      }
      await Promise.all([...Object.values(killed), ...healing])
      for (const one of traffic) reports.push(await one.stop())
      for (const [index, { direction }] of ways.entries())
        sent[direction] = traffic[index]?.flows() ?? new Map()
      const lines = field.lines('agent')
      const said = (text: string) => lines.filter(({ msg }) => msg === text).length
      test.diagnostic(
        `${JSON.stringify(done)}; ${reports.map(({ packets }) => packets).join(' and ')} packets, ` +
          `${said('stream to the aggregator')} streams, ${said(RECOVERED)} epochs drained again`,
      )
      assert.ok(Object.values(done).reduce((sum, count) => sum + count, 0) >= FAULTS)
    })

    it('and afterwards all that waited arrives', async () => {
      const [incoming, outgoing] = reports as [TrafficReport, TrafficReport]
      await waitFor('the last packets', async () => {
        const { rx, tx } = await field.uplink()
        return rx >= incoming.packets && tx >= outgoing.packets
      })
      const { rx, tx } = await field.uplink()
      assert.deepEqual({ rx, tx }, { rx: incoming.packets, tx: outgoing.packets }, 'packets that nobody sent')
      let epochs = Number.NaN
      await field.until('the agent to have flipped and got rid of all', 'agent', (value) => {
        if (Number.isNaN(epochs)) epochs = value('flowdam_agent_epochs_total')
        return (
          value('flowdam_agent_epochs_total') >= epochs + 3 &&
          value('flowdam_agent_queue_batches') <= 1 &&
          value('flowdam_agent_spool_bytes') === 0
        )
      })
      await field.end('agent', 'SIGTERM')
      const detach = field.run('agent', ['--detach'])
      assert.equal((await detach.ended()).code, 0, detach.logTail())
      assert.match(detach.output(), /nothing was waiting there/)
      await field.until(
        'the spool to be in the database',
        'aggregator',
        (value) => value('flowdam_store_spool_segments') === 0,
      )
    })

    it(`${cramped ? 'only flow detail was given' : 'no run of either daemon gave anything'} up, and the law held`, async () => {
      const metrics = await field.metrics('aggregator')
      const drops = [...(metrics ?? [])].filter(
        ([name, value]) =>
          // What comes too late to detect anything by is no flow detail.
          name.startsWith('flowdam_dropped_total') && !name.includes('stage="detect"') && value > 0,
      )
      const unexpected = drops.filter(
        ([name]) => !cramped || !/stage="spool",reason="(queue_)?full"/.test(name),
      )
      assert.deepEqual(unexpected, [])
      for (const stage of ['agent', 'spool'] as const) {
        for (const unit of UNITS) {
          const prefix = `flowdam_lost_${unit}_total{stage="${stage}",`
          for (const [name, value] of metrics ?? []) if (name.startsWith(prefix)) lost[stage][unit] += value
        }
        assert.equal(lost[stage].records > 0, cramped, `${stage}: ${JSON.stringify(lost[stage])}`)
      }
      assert.equal(metrics?.get('flowdam_agent_law_violations_total{agent="edge1"}'), 0)
      for (const daemon of ['agent', 'aggregator'] as const) {
        const complaints = field
          .lines(daemon)
          .filter(({ level, msg }) => level === 'error' || level === 'fatal' || /missing|gave up/.test(msg))
          .filter(({ msg }) => !cramped || msg !== 'FD_SPOOL_FULL: records are dropped')
        assert.deepEqual(complaints.slice(0, 5), [], `${daemon}: ${complaints.length} complaints`)
      }
    })

    it(
      cramped
        ? 'no flow has more than was sent'
        : 'each flow has its own packets, bytes, flags, DSCP and TTL; nothing is there twice',
      async () => {
        await field.end('aggregator', 'SIGTERM')
        for (const { direction } of ways) {
          stored[direction] = storedFlows(field.storeFolder, direction)
          const found = stored[direction]
          assert.deepEqual(
            [...found.keys()].filter((key) => !sent[direction]?.has(key)),
            [],
            'flows that nobody sent',
          )
          if (cramped) {
            const doubled = [...found].filter(([key, { packets, bytes }]) => {
              const most = sent[direction]?.get(key)
              return !most || packets > most.packets || bytes > most.bytes
            })
            assert.deepEqual(
              doubled.slice(0, 10),
              [],
              `${doubled.length} ${direction} flows have more than was sent`,
            )
            continue
          }
          const wrong = [...(sent[direction] ?? [])].flatMap(([key, expected]) => {
            const row = found.get(key)
            if (!row) return [`${key}: no row`]
            const { rows: _, ...actual } = row
            // The edge has forwarded what it sends.
            const ttl = direction === 'egress' ? expected.ttl - 1 : expected.ttl
            return JSON.stringify(actual) === JSON.stringify({ ...expected, ttl })
              ? []
              : [`${key}: sent ${JSON.stringify(expected)}, stored ${JSON.stringify(actual)}`]
          })
          assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} ${direction} flows differ`)
        }
      },
    )

    it('sent = stored + given up by the agent + given up by the aggregator, in packets and in bytes', (test) => {
      const all = (flows: Record<string, Map<string, FlowSent>>, unit: 'packets' | 'bytes') =>
        Object.values(flows).reduce(
          (sum, one) => [...one.values()].reduce((before, flow) => before + flow[unit], sum),
          0,
        )
      const sums = (unit: 'packets' | 'bytes') => ({
        sent: all(sent, unit),
        stored: all(stored, unit),
        agent: lost.agent[unit],
        aggregator: lost.spool[unit],
      })
      const [packets, bytes] = [sums('packets'), sums('bytes')]
      test.diagnostic(JSON.stringify({ packets, bytes }))
      for (const { sent, stored, agent, aggregator } of [packets, bytes])
        assert.equal(stored + agent + aggregator, sent, JSON.stringify({ packets, bytes }))
    })
  })
}
