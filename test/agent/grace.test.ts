// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadFlowObject } from '@flowdam/agent'
import { gracePeriod, MapOfMapsGrace, MembarrierGrace } from '@flowdam/agent/internal/kernel/grace-period'
import { membarrierQuery } from '@flowdam/agent/internal/kernel/libbpf'

describe('the grace period', () => {
  it('comes by both ways, without holding up the event loop', async (test) => {
    const { object } = loadFlowObject({ path: process.env['FLOWDAM_BPF_OBJECT'], nrCpus: 1, flowSlots: 64 })
    const fd = object.map('part_states').fd
    const ways = [new MapOfMapsGrace(fd), ...(membarrierQuery() & 1 ? [new MembarrierGrace()] : [])]
    for (const grace of ways) {
      let turns = 0
      const timer = setInterval(() => turns++, 0)
      for (let i = 0; i < 5; i++) await grace.wait()
      clearInterval(timer)
      test.diagnostic(`${grace.by}: the event loop turned ${turns} times meanwhile`)
      assert.ok(turns > 0, `${grace.by} held up the event loop`)
      grace.close()
    }
    assert.ok(gracePeriod(fd).by === 'membarrier' || !(membarrierQuery() & 1))
    object.close()
  })
})
