// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DeltaClass } from '@flowdam/proto'
import { ratesOf } from '../detect/sample.js'
import { addToSlots, ROW_SLOTS } from '../detect/slots.js'
import { attackMatch, matchWords } from './match.js'

const sums = new Float64Array(ROW_SLOTS)
addToSlots(sums, 0, DeltaClass.udp, 0, 99_059, 5_943_540, 10)
const udp = ratesOf(sums, 0, 1000)

function words(attackType: string, prefix = '203.0.113.9/32'): string {
  return matchWords(attackMatch({ attackType, prefix, rates: udp, direction: 'incoming' }))
}

describe('what tells the packets of an attack from others', () => {
  for (const [type, match] of [
    ['dns_amplification', 'protocol 17 source-port 53 fragments'],
    ['ws_discovery_amplification', 'protocol 17 source-port 3702 fragments'],
    ['syn_flood', 'protocol 6 tcp-flags syn'],
    ['tcp_flood', 'protocol 6'],
    ['udp_flood', 'protocol 17'],
    ['icmp_flood', 'protocol 1'],
    ['ip_fragmentation', 'fragments'],
  ] as const) {
    it(`${type}: ${match}`, () => assert.equal(words(type), match))
  }

  it('icmp_flood over IPv6 is another protocol', () =>
    assert.equal(words('icmp_flood', '2001:db8::9/128'), 'protocol 58'))

  it('a type that says how it comes: what the traffic is by its rates', () =>
    assert.equal(words('carpet_bombing'), 'protocol 17'))

  it('a ban by hand, without traffic: nothing', () => {
    const rates = ratesOf(new Float64Array(ROW_SLOTS), 0, 1000)
    const match = attackMatch({ attackType: '', prefix: '203.0.113.9/32', rates, direction: 'incoming' })
    assert.deepEqual(match, {})
    assert.equal(matchWords(match), '')
  })
})
