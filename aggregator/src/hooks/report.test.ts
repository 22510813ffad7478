// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DeltaClass } from '@flowdam/proto'
import type { Attack } from '../attacks/attack.js'
import { Evidence } from '../attacks/detail/evidence.js'
import type { Ban } from '../bans/ban.js'
import { NO_RATES, ratesOf } from '../detect/sample.js'
import { addToSlots, DIRECTION_SLOTS, ROW_SLOTS } from '../detect/slots.js'
import { attackType, fastnetmonReport } from './report.js'

const sums = new Float64Array(ROW_SLOTS)
addToSlots(sums, 0, DeltaClass.tcpSyn, 0, 99_059, 5_943_540, 98_926)
addToSlots(sums, DIRECTION_SLOTS, DeltaClass.tcp, 0, 12, 720, 3)
const rates = ratesOf(sums, 0, 1000)

describe('the FastNetMon report', () => {
  it('is the text that FastNetMon 1.2 gives its notify script, line by line', () => {
    const report = fastnetmonReport({
      prefix: '10.10.10.221/32',
      direction: 'incoming',
      rates,
      averages: rates,
    } as Ban)
    assert.equal(
      report,
      `IP: 10.10.10.221
Attack type: syn_flood
Initial attack power: 99059 packets per second
Peak attack power: 99059 packets per second
Attack direction: incoming
Attack protocol: tcp
Total incoming traffic: 47 mbps
Total outgoing traffic: 0 mbps
Total incoming pps: 99059 packets per second
Total outgoing pps: 12 packets per second
Total incoming flows: 98926 flows per second
Total outgoing flows: 3 flows per second
Average incoming traffic: 47 mbps
Average outgoing traffic: 0 mbps
Average incoming pps: 99059 packets per second
Average outgoing pps: 12 packets per second
Average incoming flows: 98926 flows per second
Average outgoing flows: 3 flows per second
Incoming ip fragmented traffic: 0 mbps
Outgoing ip fragmented traffic: 0 mbps
Incoming ip fragmented pps: 0 packets per second
Outgoing ip fragmented pps: 0 packets per second
Incoming tcp traffic: 47 mbps
Outgoing tcp traffic: 0 mbps
Incoming tcp pps: 99059 packets per second
Outgoing tcp pps: 12 packets per second
Incoming syn tcp traffic: 47 mbps
Outgoing syn tcp traffic: 0 mbps
Incoming syn tcp pps: 99059 packets per second
Outgoing syn tcp pps: 0 packets per second
Incoming udp traffic: 0 mbps
Outgoing udp traffic: 0 mbps
Incoming udp pps: 0 packets per second
Outgoing udp pps: 0 packets per second
Incoming icmp traffic: 0 mbps
Outgoing icmp traffic: 0 mbps
Incoming icmp pps: 0 packets per second
Outgoing icmp pps: 0 packets per second

Average packet size for incoming traffic: 60.0 bytes 
Average packet size for outgoing traffic: 60.0 bytes 
`,
    )
  })

  it('names an attack only when one kind is nine tenths of it', () => {
    const named = (kind: 'udp' | 'icmp' | 'fragment' | 'syn', share: number) =>
      attackType({
        ...NO_RATES.incoming,
        all: { pps: 100, bps: 0 },
        [kind]: { pps: share, bps: 0 },
      })
    assert.equal(named('udp', 91), 'udp_flood')
    assert.equal(named('udp', 90), 'unknown')
    assert.equal(named('icmp', 95), 'icmp_flood')
    assert.equal(named('fragment', 95), 'ip_fragmentation')
    assert.equal(named('syn', 95), 'syn_flood')
  })

  it('says behind it why, and what the flows of the attack tell', () => {
    const evidence = new Evidence('incoming', 0)
    const ban = { prefix: '203.0.113.9/32', direction: 'incoming', rates, averages: rates } as Ban
    const own = { ...ban, who: 'detector', attackId: 'a1', reason: 'syn_flood: pps 5000 over 1000' }
    const attack = {
      direction: 'incoming',
      rule: 'hostgroups[web].incoming.pps',
      startedUnixMs: 0,
      peak: { pps: 5000, bps: 3e6, flows: 1 },
      packets: 10,
      bytes: 600,
      bursts: 1,
    } as Attack
    const behind = (report: string) => report.slice(report.lastIndexOf('bytes \n') + 7)
    assert.equal(behind(fastnetmonReport({ ...own, who: 'me' })), '')
    assert.equal(
      behind(fastnetmonReport(own)),
      '\nReason: syn_flood: pps 5000 over 1000\nAttack: a1\n',
      'at once',
    )
    const missing = { ...evidence.snapshot(), flows: 2, packets: 3, missingPackets: 7 }
    const source = { name: '8.8.4.4', packets: 3, bytes: 180 }
    const later = behind(
      fastnetmonReport(own, {
        ...attack,
        detail: { ...missing, sources: { ...missing.sources, addresses: [source], distinct: 1 } },
      }),
    )
    assert.match(later, /^Rule: hostgroups\[web\]\.incoming\.pps$/m)
    assert.match(later, /^Peak: 5000 packets per second, 3 mbps$/m)
    assert.match(later, /^Detail missing for 7 packets: flow table full$/m)
    assert.match(later, /^Top source addresses: 8\.8\.4\.4 \(30 %\)$/m)
  })
})
