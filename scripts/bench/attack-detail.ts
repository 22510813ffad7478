// SPDX-License-Identifier: Apache-2.0
import { Attacked } from '@flowdam/aggregator/internal/attacks/detail/attacked'
import { Effort } from '@flowdam/aggregator/internal/attacks/detail/effort'
import { Evidence } from '@flowdam/aggregator/internal/attacks/detail/evidence'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { parseAddress, parsePrefix } from '@flowdam/common'
import { MAX_BATCH_RECORDS, RECORD_SIZE, RecordOffset } from '@flowdam/proto'
import { type Bench, type BenchResult, median } from './result.js'

const VICTIM = '203.0.113.9'
const BATCHES = 60
const GOAL_NS = 400
/** One record's share of a core at a million a second. */
const REFERENCE_NS = 1000

/** A flood of so many a second, of which not all can be looked at closely, and what holds it. */
const FLOOD_PER_SECOND = 1_000_000
const FLOOD_TARGETS = [VICTIM, '203.0.113.0/24', '203.0.0.0/16', '203.0.0.0/8']
const FLOOD_BATCHES = 300
const FLOOD_GOAL_NS = 300

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
      return cpuNs(() => attacked.scan(records, external, 1000)) / MAX_BATCH_RECORDS
    }).slice(BATCHES / 3)
  const { records: others } = makeRecords(MAX_BATCH_RECORDS, 1)
  const flood = recordsOf(2)
  const none = run(others)
  const runs = run(flood)
  log(`attack.detail: ${median(none).toFixed(1)} ns a record of no attack, while there is one`)
  return [result('attack.detail', runs, GOAL_NS, 'an attack'), fourAttacks(external)]
}

/** The same at a million records a second, each of an attack on an address, its prefix, a wider one, and all. */
function fourAttacks(external: Uint8Array): BenchResult {
  let now = 0
  const attacked = new Attacked(new Effort(() => now))
  for (const target of FLOOD_TARGETS) {
    attacked.add(target, [parsePrefix(target)], 'incoming', new Evidence('incoming', 0))
  }
  const batches = Array.from({ length: 20 }, (_, seed) => recordsOf(seed))
  const runs = Array.from({ length: FLOOD_BATCHES }, (_, index) => {
    now += (MAX_BATCH_RECORDS / FLOOD_PER_SECOND) * 1000
    const records = batches[index % batches.length] as Uint8Array
    return cpuNs(() => attacked.scan(records, external, 1000)) / MAX_BATCH_RECORDS
  }).slice(FLOOD_BATCHES / 3)
  return result('attack.detail.four', runs, FLOOD_GOAL_NS, 'four attacks')
}

function result(id: string, runs: number[], goalNs: number, of: string): BenchResult {
  const value = median(runs)
  return {
    id,
    value,
    unit: 'ns',
    reference: { what: 'a core at a million records a second, ns', value: REFERENCE_NS },
    ratio: value / REFERENCE_NS,
    goal: `<= ${goalNs} ns a record, all of them of ${of}`,
    met: value <= goalNs,
    runs,
  }
}

/** Processor time: what a busy machine takes away is no cost. */
function cpuNs(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) * 1000
}

/** A full batch of flows to the victim. */
function recordsOf(seed: number): Uint8Array {
  const { records } = makeRecords(MAX_BATCH_RECORDS, seed)
  const victim = parseAddress(VICTIM)
  for (let at = 0; at < records.length; at += RECORD_SIZE) {
    records.set(victim, at + RecordOffset.dstAddr)
    records[at + RecordOffset.marks] = 0
  }
  return records
}
