// SPDX-License-Identifier: Apache-2.0
import { Attacked } from '@flowdam/aggregator/internal/attacks/detail/attacked'
import { Effort } from '@flowdam/aggregator/internal/attacks/detail/effort'
import { Evidence } from '@flowdam/aggregator/internal/attacks/detail/evidence'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { parseAddress, parsePrefix } from '@flowdam/common'
import { MAX_BATCH_RECORDS, RECORD_SIZE, RecordOffset } from '@flowdam/proto'
import { type Bench, median } from './result.js'

const VICTIM = '203.0.113.9'
const BATCHES = 60
const GOAL_NS = 400
/** One record's share of a core at a million a second. */
const REFERENCE_NS = 1000

/** What the detail of attacks costs for each flow record that passes: of none, and of one, in a flood of new sources. */
export const attackDetail: Bench = async ({ log }) => {
  const external = new Uint8Array(256).fill(1)
  // Time enough between batches to look at all records closely; what comes faster costs less (effort.ts).
  let now = 0
  const attacked = new Attacked(
    new Effort(() => {
      now += 1000
      return now
    }),
  )
  attacked.add('a', [parsePrefix(VICTIM)], 'incoming', new Evidence('incoming', 0))
  const run = (records: Uint8Array): number[] =>
    Array.from({ length: BATCHES }, () => {
      const began = performance.now()
      attacked.scan(records, external, 1000)
      return ((performance.now() - began) * 1e6) / MAX_BATCH_RECORDS
    }).slice(BATCHES / 3)
  const { records: others } = makeRecords(MAX_BATCH_RECORDS, 1)
  const flood = makeRecords(MAX_BATCH_RECORDS, 2).records
  const victim = parseAddress(VICTIM)
  for (let at = 0; at < flood.length; at += RECORD_SIZE) flood.set(victim, at + RecordOffset.dstAddr)
  const none = run(others)
  const runs = run(flood)
  log(`attack.detail: ${median(none).toFixed(1)} ns a record of no attack, while there is one`)
  const value = median(runs)
  return [
    {
      id: 'attack.detail',
      value,
      unit: 'ns',
      reference: { what: 'a core at a million records a second, ns', value: REFERENCE_NS },
      ratio: value / REFERENCE_NS,
      goal: `<= ${GOAL_NS} ns a record, all of them of an attack`,
      met: value <= GOAL_NS,
      runs,
    },
  ]
}
