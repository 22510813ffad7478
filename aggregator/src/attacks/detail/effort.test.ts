// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseAddress, parsePrefix } from '@flowdam/common'
import { MAX_BATCH_RECORDS, RECORD_SIZE, RecordOffset } from '@flowdam/proto'
import { makeRecords } from '../../testing/records.js'
import { Attacked } from './attacked.js'
import { Effort } from './effort.js'
import { Evidence } from './evidence.js'

const VICTIM = '203.0.113.9'

/** Ten seconds of so many records a second, in full batches. */
function run(perSecond: number) {
  const batches = Math.ceil((perSecond * 10) / MAX_BATCH_RECORDS)
  let now = 0
  const effort = new Effort(() => now)
  let looked = 0
  let stoodFor = 0
  for (let batch = 0; batch < batches; batch++, now += (MAX_BATCH_RECORDS / perSecond) * 1000) {
    effort.refill()
    for (let i = 0; i < MAX_BATCH_RECORDS; i++) {
      const weight = effort.weigh()
      if (weight > 0) looked++
      stoodFor += weight
    }
  }
  return { looked, stoodFor, all: batches * MAX_BATCH_RECORDS }
}

describe('how closely records are looked at', () => {
  it('each of them, up to 150 000 a second', () => {
    const { looked, all } = run(149_000)
    assert.equal(looked, all)
  })

  it('of more, a sample that stands for all of them and takes no more than a twentieth of a core', () => {
    for (const perSecond of [300_000, 1_000_000, 5_000_000]) {
      const { looked, stoodFor, all } = run(perSecond)
      assert.ok(looked <= 32_768 + 150_000 * 10, `${looked} of ${all}`)
      assert.ok(Math.abs(stoodFor / all - 1) < 0.1, `${stoodFor} for ${all}`)
    }
  })

  it('without leaving any of the attacks out that a record is of, and totals are exact', () => {
    const now = 0
    const attacked = new Attacked(new Effort(() => now))
    const evidence = [VICTIM, '203.0.113.0/24', '203.0.0.0/16', '203.0.0.0/8'].map((text) => {
      const one = new Evidence('incoming', 0)
      attacked.add(text, [parsePrefix(text)], 'incoming', one)
      return one
    })
    const count = 12_000
    const { records } = makeRecords(count, 1)
    const victim = parseAddress(VICTIM)
    const exact = { packets: 0, bytes: 0 }
    for (let at = 0; at < records.length; at += RECORD_SIZE) {
      records.set(victim, at + RecordOffset.dstAddr)
      records.writeUInt16LE(7, at + RecordOffset.dstPort)
      records[at + RecordOffset.marks] = 0
      exact.packets += records.readUInt32LE(at + RecordOffset.packets)
      exact.bytes += Number(records.readBigUInt64LE(at + RecordOffset.bytes))
    }
    attacked.scan(records, new Uint8Array(256).fill(1), 1000)
    for (const one of evidence) {
      const { flows, packets, bytes, targetPorts, protocols, sizes, ttl } = one.snapshot()
      assert.equal(flows, count)
      assert.equal(packets, exact.packets)
      assert.equal(bytes, exact.bytes)
      const sum = (lists: readonly { packets: number }[]) =>
        lists.reduce((all, each) => all + each.packets, 0)
      for (const list of [protocols, sizes.counts]) {
        assert.ok(Math.abs(sum(list) / packets - 1) < 0.1, `${sum(list)} of ${packets}`)
      }
      assert.ok(Number.isFinite(sizes.min) && Number.isFinite(ttl.min))
      const [port] = targetPorts
      assert.equal(port?.name, '7')
      assert.ok(Math.abs((port?.packets ?? 0) / packets - 1) < 0.1, `${port?.packets} of ${packets}`)
    }
  })
})
