// SPDX-License-Identifier: Apache-2.0
//
// Both directions on several CPUs at once while epochs flip: every packet is in exactly one epoch, in full.
// FLOWDAM_LAW_PACKETS sets how many packets; 50 million by default.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { membarrierGlobal } from '@flowdam/agent/internal/kernel/libbpf'
import { Counter, lawBreaches, type ProgramName } from './counter.js'
import { isRefusedAsSkb } from './packet.js'
import { VECTORS } from './vectors.js'

const TOTAL = Number(process.env['FLOWDAM_LAW_PACKETS'] ?? 50_000_000)
const LANES: readonly ProgramName[] = ['flowdam_xdp', 'flowdam_tc', 'flowdam_xdp_frags']
const LONGEST_RUN = 60_000

describe('epochs', () => {
  for (const [how, occupied] of Object.entries({ 'with room for every flow': 0, 'with the log full': 255 })) {
    it(`lose and double nothing, ${how}`, async (t) => {
      const counter = new Counter({ flowSlots: 256, occupied, manyCpus: true })
      try {
        const sent = { packets: 0, bytes: 0 }
        const seen = { packets: 0, bytes: 0, overflow: 0 }
        let flips = 0
        let sending = true

        const drain = (parity: number) => {
          const counted = counter.counted(parity)
          assert.deepEqual(lawBreaches(counted), [])
          seen.packets += counted.ledger.seenPackets
          seen.bytes += counted.ledger.seenBytes
          seen.overflow += counted.ledger.overflowPackets
          counter.clear(parity)
        }
        const flipping = async () => {
          while (sending) {
            await sleep(Math.random() * 10)
            const old = counter.flip()
            assert.equal(await membarrierGlobal(), 0)
            drain(old)
            flips++
          }
        }
        const send = async (name: ProgramName) => {
          for (let left = Math.ceil(TOTAL / 2 / LANES.length); left > 0; ) {
            const vector = VECTORS[Math.floor(Math.random() * VECTORS.length)]
            if (!vector || (name === 'flowdam_tc' && isRefusedAsSkb(vector.packet))) continue
            const repeat = Math.min(left, 1 + Math.floor(Math.random() * LONGEST_RUN))
            await counter.program(name).testRunAsync(vector.packet, { repeat })
            sent.packets += repeat
            sent.bytes +=
              repeat * (vector.verdict === 'flow' ? vector.record.bytes : vector.packet.length - 14)
            left -= repeat
          }
        }
        const lanes = Promise.all(LANES.map(send)).finally(() => {
          sending = false
        })
        await Promise.all([lanes, flipping()])
        drain(0)
        drain(1)

        t.diagnostic(`${sent.packets} packets, ${flips} flips, ${seen.overflow} in overflow`)
        assert.deepEqual({ packets: seen.packets, bytes: seen.bytes }, sent)
        assert.ok(flips > 20, `only ${flips} flips`)
        assert.equal(seen.overflow > 0, occupied > 0)
      } finally {
        counter.close()
      }
    })
  }
})
