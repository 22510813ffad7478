// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Ban, GetStatusResponse, HostRates } from '@flowdam/proto'
import { BLACKHOLE_COMMUNITY } from '../lab/gobgp.js'
import { drawLine, drawScreen, type Story, sparkline } from './screen.js'

const BAN = Ban.fromPartial({
  prefix: '203.0.113.10/32',
  metric: 'pps',
  value: 101_000,
  threshold: 20_000,
  hooks: [{ hook: 'gobgp', action: 'ban', result: 'ok', durationMs: 31 }],
})

const SNAPSHOT = {
  status: GetStatusResponse.fromPartial({
    incoming: { pps: 101_000, bps: 4e8, flows: 500 },
    store: { engine: 'embedded', state: 'ok', rowsStored: 1234567 },
    ledger: { seenPackets: 1000, flowPackets: 993 },
    drops: [{ stage: 'spool', reason: 'full', count: 12 }],
  }),
  hosts: [HostRates.fromPartial({ address: '203.0.113.10', incoming: { pps: 99_000 }, banned: true })],
  bans: [BAN],
  attachMode: 'native',
}

const STORY: Story = {
  title: 'test',
  elapsedMs: 61_000,
  thresholdPps: 20_000,
  history: [1, 2],
  events: Array.from({ length: 20 }, (_, index) => `event ${index}`),
  routes: new Map(),
  router: 'the router',
  hints: [],
}

const withRoute: Story = {
  ...STORY,
  routes: new Map([
    [BAN.prefix, { prefix: BAN.prefix, nextHop: '192.0.2.1', communities: [BLACKHOLE_COMMUNITY] }],
  ]),
}

describe('the picture in the terminal', () => {
  it('shows a ban with what fired, its hook, and the route as the router has it', () => {
    const text = drawScreen(SNAPSHOT, withRoute).join('\n')
    assert.match(text, /203\.0\.113\.10\/32 {2}pps 101 k over 20\.0 k; hook gobgp: ok in 31 ms/)
    assert.match(text, /the router: 203\.0\.113\.10\/32 next hop 192\.0\.2\.1, community 65535:666/)
  })

  it('says so while the router has no route', () => {
    assert.match(drawScreen(SNAPSHOT, STORY).join('\n'), /the router has no route yet/)
    assert.match(
      drawScreen(SNAPSHOT, { ...STORY, router: undefined }).join('\n'),
      /dry run, announced nowhere/,
    )
  })

  it('shows what was lost and what is not in a flow', () => {
    const text = drawScreen(SNAPSHOT, STORY).join('\n')
    assert.match(text, /Drops +spool full 12/)
    assert.match(text, /not in a flow: 7/)
    assert.match(text, /1 234 567 rows/)
  })

  it('shows the newest events only', () => {
    const text = drawScreen(SNAPSHOT, STORY).join('\n')
    assert.match(text, /event 19/)
    assert.doesNotMatch(text, /event 11\b/)
  })

  it('fits the terminal: bans, what happened last and the hints stay, hosts go', () => {
    const story = { ...withRoute, hints: ['flowdam top', 'flowdam bans watch'] }
    for (let rows = 10; rows < 50; rows++) {
      for (const columns of [60, 80, 100, 200]) {
        const lines = drawScreen(SNAPSHOT, story, { columns, rows })
        assert.ok(rows < 16 || lines.length <= rows, `${lines.length} lines in ${rows}`)
        const curve = lines.find((line) => line.includes('last minute')) ?? ''
        assert.ok(curve.length <= columns, `${curve.length} columns in ${columns}`)
      }
    }
    const small = drawScreen(SNAPSHOT, story, { columns: 80, rows: 23 }).join('\n')
    for (const what of [/Active bans/, /event 19/, /event 16/, /flowdam bans watch/])
      assert.match(small, what)
    assert.doesNotMatch(small, /Top hosts/)
    const large = drawScreen(SNAPSHOT, story, { columns: 130, rows: 45 }).join('\n')
    for (const what of [/Top hosts/, /event 12/, /per address/]) assert.match(large, what)
  })

  it('is one line where nothing can be redrawn', () => {
    const line = drawLine(SNAPSHOT, withRoute)
    assert.doesNotMatch(line, /\n/)
    assert.match(line, /in 101 kpps/)
    assert.match(line, /bans 203\.0\.113\.10\/32 \(the router: /)
  })

  it('draws a curve as high as its highest value, and nothing for no traffic', () => {
    assert.equal(sparkline([0, 4, 8], 5), '  ▁▅█')
    assert.equal(sparkline([0, 0], 2), '▁▁')
    assert.equal(sparkline([], 2), '  ')
  })
})
