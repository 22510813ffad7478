// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { emptyMix, type TrafficClass, type TrafficMix } from '../detect/traffic.js'
import { classifyTraffic } from './classify.js'

/** Packets by class, of `size` bytes. */
function mix(classes: Partial<Record<TrafficClass, number>>, size = 100): TrafficMix {
  const made = emptyMix()
  for (const [name, packets] of Object.entries(classes)) {
    made.classes[name as TrafficClass] = { packets, bytes: packets * size }
    made.packets += packets
    made.bytes += packets * size
  }
  return made
}

describe('the kind of an attack', () => {
  it('is what makes most of it, beside ordinary traffic', () => {
    assert.equal(classifyTraffic(mix({ tcp_syn: 70, tcp: 30 }), 'incoming', 'pps'), 'syn_flood')
    assert.equal(classifyTraffic(mix({ tcp_syn: 50, tcp: 50 }), 'incoming', 'pps'), 'tcp_flood')
    assert.equal(classifyTraffic(mix({ icmp: 70, udp: 30 }), 'incoming', 'pps'), 'icmp_flood')
    assert.equal(classifyTraffic(mix({ icmp: 40, udp: 30, tcp: 30 }), 'incoming', 'pps'), 'mixed_flood')
    assert.equal(classifyTraffic(emptyMix(), 'incoming', 'pps'), 'mixed_flood')
  })

  it('is judged in the unit that fired', () => {
    const large = mix({ udp: 10 }, 1400)
    const both = { ...mix({ tcp: 90 }, 40), classes: { ...large.classes, tcp: { packets: 90, bytes: 3600 } } }
    both.packets += large.packets
    both.bytes += large.bytes
    assert.equal(classifyTraffic(both, 'incoming', 'bps'), 'udp_flood')
    assert.equal(classifyTraffic(both, 'incoming', 'pps'), 'tcp_flood')
  })

  it('is amplification by the reflectors’ port, with the fragments behind, and only towards us', () => {
    const reflected = mix({ udp: 100 }, 1400)
    reflected.vectors = [{ name: 'dns', packets: 40, bytes: 56_000 }]
    assert.equal(
      classifyTraffic(reflected, 'incoming', 'bps'),
      'udp_flood',
      'a part from port 53 is not enough',
    )
    reflected.fragments = { packets: 50, bytes: 70_000 }
    assert.equal(classifyTraffic(reflected, 'incoming', 'bps'), 'dns_amplification')
    assert.equal(classifyTraffic(reflected, 'outgoing', 'bps'), 'udp_flood')
    reflected.vectors = []
    reflected.fragments = { packets: 90, bytes: 126_000 }
    assert.equal(classifyTraffic(reflected, 'incoming', 'bps'), 'ip_fragmentation')
  })
})
