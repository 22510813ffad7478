// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Ban } from '@flowdam/proto'
import { BLACKHOLE_COMMUNITY, type Route } from '@flowdam/scripts/lab/gobgp'
import { Lab } from '@flowdam/scripts/lab/lab'
import { EVENTS, Timeline } from '@flowdam/scripts/lab/timeline'
import { waitFor } from '@flowdam/scripts/lab/wait'

const THRESHOLD_PPS = 10_000
const FLOOD_PPS = 5 * THRESHOLD_PPS
/** Much longer than it takes to be banned. */
const SECONDS = 4

const VICTIMS = [
  { address: '203.0.113.10', prefix: '203.0.113.10/32', profile: 'udp-flood', nextHop: '192.0.2.1' },
  { address: '2001:db8:1::a', prefix: '2001:db8:1::a/128', profile: 'syn-flood', nextHop: '100::1' },
] as const

describe('a flood at 5 × the threshold', () => {
  const lab = new Lab({ thresholdPps: THRESHOLD_PPS, banDuration: '3s' })
  before(() => lab.start())
  after(() => lab.stop())

  for (const { address, prefix, profile, nextHop } of VICTIMS) {
    describe(`${profile} towards ${address}`, () => {
      const timeline = new Timeline(prefix)
      let route: Route | undefined
      let ban: Ban

      before(async () => {
        timeline.watchBans(lab.daemons.api)
        const monitor = lab.router.watch((change) => timeline.routeChanged(change))
        try {
          const args = ['--profile', profile, '--victim', address, '--rate', String(FLOOD_PPS)]
          const flood = lab.send({ from: 'internet', args })
          await waitFor(`the route of ${prefix}`, () => timeline.has('route present'))
          route = await lab.router.route(prefix)
          const report = await flood.stop()
          timeline.mark('flood started', report.started_unix_ms)
          timeline.mark('flood stopped', report.ended_unix_ms)
          await waitFor(`no route of ${prefix}`, () => timeline.has('route gone'))
          await waitFor('the unban hook to end', () =>
            timeline.ban?.hooks.find(({ action, result }) => action === 'unban' && result !== 'running'),
          )
        } finally {
          timeline.stop()
          await monitor.stop()
        }
        assert.ok(timeline.ban)
        ban = timeline.ban
      })

      it('is banned: the address, incoming, by pps, with the rate it has', () => {
        assert.deepEqual(
          [ban.prefix, ban.direction, ban.metric, ban.threshold, ban.hostgroup],
          [prefix, 1, 'pps', THRESHOLD_PPS, 'customers'],
        )
        // The window is not full yet when the budget is spent: the rate is at least the threshold, and never more
        // than what was sent.
        assert.ok(ban.value > THRESHOLD_PPS && ban.value < FLOOD_PPS * 1.5, `value ${ban.value}`)
      })

      it('puts the route with 65535:666 into the table of the second GoBGP', () => {
        assert.deepEqual(route, { prefix, nextHop, communities: [BLACKHOLE_COMMUNITY] })
      })

      it('runs the hook once to ban and once to unban', () => {
        assert.deepEqual(
          ban.hooks.map(({ hook, action, result, exitCode, attempt }) => ({
            hook,
            action,
            result,
            exitCode,
            attempt,
          })),
          ['ban', 'unban'].map((action) => ({
            hook: 'gobgp',
            action,
            result: 'ok',
            exitCode: 0,
            attempt: 1,
          })),
        )
      })

      it('happens in the right order, and all of it is undone', async () => {
        const names = timeline.events().map(({ event }) => event)
        // The hook's end and the route at the neighbour race by milliseconds; so do the ends of both.
        const settled = (name: string) =>
          !['hook executed', 'route present', 'unban', 'route gone'].includes(name)
        assert.deepEqual(names.filter(settled), EVENTS.filter(settled))
        assert.deepEqual(new Set(names), new Set(EVENTS))
        assert.equal(await lab.router.route(prefix), undefined)
        assert.equal(ban.state, 'unbanned')
      })

      it('is banned soon', () => {
        const at = timeline.events().find(({ event }) => event === 'ban decided')?.atMs
        assert.ok(at !== undefined && at < SECONDS * 1000, `banned after ${at} ms`)
      })
    })
  }
})

describe('the same traffic under the threshold', () => {
  const PACKETS = FLOOD_PPS * SECONDS
  const lab = new Lab({ thresholdPps: FLOOD_PPS * 1.5, bgp: false })
  before(() => lab.start())
  after(() => lab.stop())

  it('is counted, and nobody is banned', async () => {
    const { api } = lab.daemons
    for (const { address, profile } of VICTIMS) {
      const args = ['--profile', profile, '--victim', address, '--rate', String(FLOOD_PPS)]
      const traffic = lab.send({ from: 'internet', args: [...args, '--count', String(PACKETS)] })
      await traffic.ended()
    }
    await waitFor('the packets in the ledger', async () => {
      const { ledger } = await api.getStatus()
      return ledger?.seenPackets === VICTIMS.length * PACKETS
    })
    assert.deepEqual((await api.listBans(true)).bans, [])
  })
})
