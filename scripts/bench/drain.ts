// SPDX-License-Identifier: Apache-2.0
import { Drain, FlowMaps, loadFlowObject } from '@flowdam/agent'
import { RECORD_SIZE, RecordOffset } from '@flowdam/proto'
import { type Bench, median } from './result.js'

const SLOTS = 65_536
/** Both directions of one CPU. */
const PARTS = 2
const RUNS = 7
/** design: what a hash map's batch system calls reach on such a machine, records a second. */
const BATCH_SYSCALLS = 2e6

/**
 * One epoch with every log full, 2 × 65 536 records: copying alone, and the whole drain with the law checked and the
 * maps cleared. Also how long the event loop stood still meanwhile.
 */
export const drain: Bench = async ({ log }) => {
  const kernel = loadFlowObject({ flowSlots: SLOTS, nrCpus: 1, programs: ['flowdam_xdp'] })
  try {
    const maps = FlowMaps.of(kernel.object, kernel.geometry)
    const copies: number[] = []
    const drains: number[] = []
    let stalledMs = 0
    for (let run = 0; run < RUNS; run++) {
      fill(maps)
      copies.push((PARTS * SLOTS) / copySeconds(maps))
      const stalls = watchEventLoop()
      const began = performance.now()
      const { records, violations } = await new Drain(maps, () => {}).run(0)
      drains.push(records / ((performance.now() - began) / 1000))
      stalledMs = Math.max(stalledMs, stalls())
      if (violations.length > 0 || records !== PARTS * SLOTS)
        throw new Error(`drain is wrong: ${violations[0]}`)
    }
    maps.close()
    log(
      `drain with law check and clearing: the event loop stood still for ${stalledMs.toFixed(1)} ms at most`,
    )
    const reference = { what: 'batch system calls on a hash map, records/s', value: BATCH_SYSCALLS }
    const entry = (id: string, runs: number[], least: number, goal: string) => ({
      id,
      value: median(runs),
      unit: 'records/s',
      reference,
      ratio: median(runs) / BATCH_SYSCALLS,
      goal,
      met: median(runs) >= least,
      runs,
    })
    return [
      entry('drain', copies, 50e6, 'records/s >= 50 M'),
      entry('drain.checked', drains, 10e6, 'with law check, batches and clearing: records/s >= 10 M'),
    ]
  } finally {
    kernel.object.close()
  }
}

/** Every slot a flow of one packet, and a ledger that agrees. */
function fill(maps: FlowMaps): void {
  for (let part = 0; part < PARTS; part++) {
    const { words } = maps.flows(0, part, SLOTS)
    for (let slot = 0; slot < SLOTS; slot++) {
      const at = (slot * RECORD_SIZE) / 4
      words[at + 7] = slot
      words[at + RecordOffset.protocol / 4] = 17 | ((part === 0 ? 0 : 0x80) << 8)
      words[at + RecordOffset.bytes / 4] = 100
      words[at + RecordOffset.bytes / 4 + 1] = 0
      words[at + RecordOffset.packets / 4] = 1
    }
    maps.partState(0, part)[0] = SLOTS
    const ledger = maps.ledgers(0, part)
    for (const [field, value] of [
      [0, SLOTS],
      [1, SLOTS * 100],
      [2, SLOTS],
      [3, SLOTS * 100],
    ] as const) {
      ledger[field * 2] = value
    }
  }
}

const target = Buffer.alloc(PARTS * SLOTS * RECORD_SIZE)

function copySeconds(maps: FlowMaps): number {
  const windows = Array.from({ length: PARTS }, (_, part) => maps.flows(0, part, SLOTS))
  const began = performance.now()
  for (const [part, window] of windows.entries()) {
    target.set(window.bytes.subarray(0, SLOTS * RECORD_SIZE), part * SLOTS * RECORD_SIZE)
  }
  return (performance.now() - began) / 1000
}

/** The longest time between two turns of the event loop until the returned function is called. */
function watchEventLoop(): () => number {
  let last = performance.now()
  let longest = 0
  let watching = true
  const turn = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (watching) setImmediate(turn)
  }
  setImmediate(turn)
  return () => {
    watching = false
    return Math.max(longest, performance.now() - last)
  }
}
