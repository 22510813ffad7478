// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { formatAddress } from '@flowdam/common'
import { type FlowRecord, IFACE_EGRESS } from '@flowdam/proto'
import { Counter, IFACE, lawBreaches, type ProgramName } from './counter.js'
import { isRefusedAsSkb } from './packet.js'
import { type ExpectedRecord, VECTORS, type Vector } from './vectors.js'

const PROGRAMS: { name: ProgramName; passes: number; direction: number }[] = [
  { name: 'flowdam_xdp', passes: 2, direction: 0 },
  { name: 'flowdam_xdp_frags', passes: 2, direction: 0 },
  // TC_ACT_UNSPEC: the next filter decides.
  { name: 'flowdam_tc', passes: 0xffffffff, direction: IFACE_EGRESS },
]

function inWords(record: FlowRecord) {
  const { src, dst } = { src: formatAddress(record.srcAddr), dst: formatAddress(record.dstAddr) }
  const { srcPort, dstPort, protocol, iface, vlan, bytes, packets, tcpFlags, dscp, ttl, marks, source } =
    record
  return {
    src,
    dst,
    srcPort,
    dstPort,
    protocol,
    iface,
    vlan,
    bytes,
    packets,
    tcpFlags,
    dscp,
    ttl,
    marks,
    source,
  }
}

function complete(record: ExpectedRecord, direction: number) {
  const rest = { srcPort: 0, dstPort: 0, vlan: 0, tcpFlags: 0, dscp: 0, ttl: 64, marks: 0, source: 0 }
  return { ...rest, src: '', dst: '', ...record, packets: 1, iface: IFACE | direction }
}

for (const innerKey of [false, true]) {
  describe(innerKey ? 'packets, key of the tunnelled packet' : 'packets', () => {
    let counter: Counter
    before(() => {
      counter = new Counter({ innerKey })
    })
    after(() => counter.close())

    for (const vector of VECTORS) {
      for (const program of PROGRAMS) {
        it(`${vector.title} (${program.name})`, (t) => {
          if (program.name === 'flowdam_tc' && isRefusedAsSkb(vector.packet)) {
            return t.skip('the kernel makes no skb of an incomplete IP header')
          }
          check(counter, vector, program, innerKey)
        })
      }
    }
  })
}

function check(
  counter: Counter,
  vector: Vector,
  program: (typeof PROGRAMS)[number],
  innerKey: boolean,
): void {
  counter.clear()
  const { retval, dataOut } = counter.run(program.name, vector.packet)
  assert.equal(retval, program.passes)
  assert.deepEqual(dataOut, vector.packet, 'the packet must pass unchanged')

  const counted = counter.counted()
  assert.deepEqual(lawBreaches(counted), [])
  assert.equal(counted.ledger.seenPackets, 1)
  assert.deepEqual(counted.overflow, [])
  const inner = innerKey && vector.verdict === 'flow' ? vector.inner : undefined
  if (vector.verdict === 'flow' && inner !== 'malformed') {
    assert.deepEqual(counted.flows.map(inWords), [complete(inner ?? vector.record, program.direction)])
    assert.deepEqual(counted.reasons, {})
    return
  }
  assert.deepEqual(counted.flows, [])
  const bytes = vector.packet.length - 14
  if (vector.verdict === 'not_ip') {
    assert.deepEqual([counted.ledger.notIpPackets, counted.ledger.notIpBytes], [1, bytes])
  } else {
    assert.deepEqual([counted.ledger.malformedPackets, counted.ledger.malformedBytes], [1, bytes])
    assert.deepEqual(counted.reasons, { [vector.verdict === 'malformed' ? vector.reason : 'tunnel']: 1 })
  }
}
