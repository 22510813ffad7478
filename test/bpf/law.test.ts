// SPDX-License-Identifier: Apache-2.0
//
// The law: seen = in flows + overflowed + not IP + malformed, and the records add up to the ledger; for any packets,
// with room in the flow log and without. Where there is none, each destination's sums are still those of a counter
// with room.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { formatAddress } from '@flowdam/common'
import type { FlowRecord } from '@flowdam/proto'
import fc from 'fast-check'
import { type Counted, Counter, lawBreaches, type ProgramName } from './counter.js'
import { isRefusedAsSkb } from './packet.js'
import { anyBytes, anyPacket } from './random-packet.js'

// fast-check would print megabytes of packets: the seed and the path say as much.
fc.configureGlobal({ reporter: report })

function report(details: fc.RunDetails<unknown>): void {
  if (!details.failed) return
  const { seed, counterexamplePath: path, numRuns, errorInstance } = details
  throw new Error(`failed after ${numRuns} runs: { seed: ${seed}, path: '${path}' }`, {
    cause: errorInstance,
  })
}

const anyProgram = fc.constantFrom<ProgramName>('flowdam_xdp', 'flowdam_xdp_frags', 'flowdam_tc')
const step = fc.record({
  frame: anyPacket,
  program: anyProgram,
  flips: fc.constantFrom(false, false, false, true),
})

/** Packets and bytes by the address that overflow goes by, and protocol. */
function perAddress({ flows, overflow }: Counted): Record<string, string> {
  const sums = new Map<string, { packets: number; bytes: number }>()
  for (const record of [...flows, ...overflow]) {
    const key = `${formatAddress(ours(record))} ${record.protocol} ${record.iface}`
    const sum = sums.get(key) ?? { packets: 0, bytes: 0 }
    sum.packets += record.packets
    sum.bytes += record.bytes
    sums.set(key, sum)
  }
  return Object.fromEntries([...sums].sort().map(([key, { packets, bytes }]) => [key, `${packets} ${bytes}`]))
}

function ours(record: FlowRecord): Uint8Array {
  return record.iface & 0x80 ? record.srcAddr : record.dstAddr
}

for (const innerKey of [false, true]) {
  describe(`the law, ${innerKey ? 'inner' : 'outer'} keys`, () => {
    let roomy: Counter
    let tight: Counter
    before(() => {
      roomy = new Counter({ flowSlots: 4096, innerKey, dropRules: true })
      tight = new Counter({ flowSlots: 256, occupied: 250, innerKey })
    })
    after(() => {
      roomy.close()
      tight.close()
    })

    it('holds for any packets, and a full log changes no sum of a destination', () => {
      let overflowed = 0
      const outcome = { flow: 0, notIp: 0, malformed: 0 }
      fc.assert(
        fc.property(fc.array(step, { minLength: 100, maxLength: 400, size: 'max' }), (steps) => {
          for (const counter of [roomy, tight]) for (const parity of [0, 1]) counter.clear(parity)
          let sent = 0
          for (const { frame, program, flips } of steps) {
            if (program === 'flowdam_tc' && isRefusedAsSkb(frame)) continue
            sent++
            for (const counter of [roomy, tight]) {
              counter.run(program, frame)
              if (flips) counter.flip()
            }
          }
          let seen = 0
          for (const parity of [0, 1]) {
            const [all, some] = [roomy.counted(parity), tight.counted(parity)]
            assert.deepEqual(lawBreaches(all), [])
            assert.deepEqual(lawBreaches(some), [])
            assert.equal(all.ledger.overflowPackets, 0)
            assert.equal(all.ledger.seenPackets, some.ledger.seenPackets)
            assert.deepEqual(perAddress(some), perAddress(all))
            seen += all.ledger.seenPackets
            overflowed += some.ledger.overflowPackets
            outcome.flow += all.ledger.flowPackets
            outcome.notIp += all.ledger.notIpPackets
            outcome.malformed += all.ledger.malformedPackets
          }
          assert.equal(seen, sent)
        }),
        { numRuns: 60 },
      )
      // A generator that reaches none of these would prove nothing.
      for (const [what, packets] of Object.entries({ ...outcome, overflowed })) {
        assert.ok(packets > 500, `only ${packets} packets ${what}`)
      }
    })

    it('holds for any bytes', () => {
      let flows = 0
      for (const parity of [0, 1]) roomy.clear(parity)
      const ledgerBytes = () => roomy.counted().ledger
      let bytes = 0
      fc.assert(
        fc.property(anyBytes, anyProgram, (frame, program) => {
          if (program === 'flowdam_tc' && isRefusedAsSkb(frame)) return
          roomy.run(program, frame)
          bytes += frame.length
        }),
        { numRuns: 20_000 },
      )
      const counted = roomy.counted()
      assert.deepEqual(lawBreaches(counted), [])
      flows += counted.ledger.flowPackets
      assert.ok(flows > 500, `only ${flows} packets became flows`)
      assert.ok(ledgerBytes().seenBytes <= bytes)
    })
  })
}
