// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BLACKHOLE_COMMUNITY } from './gobgp.js'
import { Timeline } from './timeline.js'

const ROUTE = { prefix: '203.0.113.10/32', nextHop: '192.0.2.1', communities: [BLACKHOLE_COMMUNITY] }

describe('the timeline of an attack', () => {
  it('counts from the start of the flood, in the order of time, each event once', () => {
    const timeline = new Timeline('203.0.113.10/32')
    timeline.routeChanged({ at: 1500, present: true, route: ROUTE })
    timeline.routeChanged({ at: 1700, present: true, route: ROUTE })
    timeline.routeChanged({ at: 9000, present: false, route: ROUTE })
    timeline.mark('flood started', 1000)
    assert.deepEqual(timeline.events(), [
      { event: 'flood started', atMs: 0 },
      { event: 'route present', atMs: 500 },
      { event: 'route gone', atMs: 8000 },
    ])
  })

  it('takes a route without the BLACKHOLE community for no blackhole', () => {
    const timeline = new Timeline('203.0.113.10/32')
    timeline.routeChanged({ at: 1, present: true, route: { ...ROUTE, communities: [65535 * 65536 + 667] } })
    assert.equal(timeline.has('route present'), undefined)
  })

  it('leaves other prefixes alone', () => {
    const timeline = new Timeline('203.0.113.10/32')
    timeline.routeChanged({ at: 1, present: true, route: { ...ROUTE, prefix: '203.0.113.0/24' } })
    assert.deepEqual(timeline.events(), [])
  })
})
