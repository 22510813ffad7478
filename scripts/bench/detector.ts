// SPDX-License-Identifier: Apache-2.0
import { Detector } from '@flowdam/aggregator'
import { PolicySet } from '@flowdam/aggregator/internal/detect/policies'
import { parsePrefix } from '@flowdam/common'
import { DELTA_SIZE, DeltaClass, DeltaOffset } from '@flowdam/proto'
import { type Bench, type BenchResult, median } from './result.js'

const ADDRESSES = 1_000_000
const INTERVAL_MS = 100
/** Each address moves once in the window of a second: a tenth of them in each message. */
const PER_TICK = ADDRESSES / 10
const WARM_UP_TICKS = 20
const TICKS = 60
const GOAL_MS = 50

/**
 * One tick of the detector with a million tracked addresses, every one of which moves once a second: reading a
 * message of 100 000 entries, adding them, taking 100 000 out of the window, comparing with five thresholds.
 */
export const detectorTick: Bench = async ({ log }) => {
  let now = 1000
  const before = process.memoryUsage()
  const detector = new Detector({
    policies: new PolicySet({
      networks: [parsePrefix('10.0.0.0/8')],
      thresholds: {
        incoming: { pps: 20_000, bps: 1e9, flows: 3500, syn_pps: 10_000 },
        outgoing: { pps: 50_000 },
      },
      hostgroups: [{ name: 'all', prefixes: [parsePrefix('10.0.0.0/8')] }],
    }),
    clock: () => now,
    onDetection: () => {
      throw new Error('nothing is over a threshold here')
    },
  })
  const run = (order: Uint32Array, from: number, count: number): number[] =>
    Array.from({ length: count }, (_, index) => oneTick(order, from + index))
  const oneTick = (order: Uint32Array, tick: number): number => {
    const entries = message(order, (tick * PER_TICK) % ADDRESSES)
    now += INTERVAL_MS
    const began = performance.now()
    detector.onHostDeltas(
      'bench',
      {
        seq: tick + 1,
        coversUs: INTERVAL_MS * 1000,
        nowUnixMs: 0,
        entries,
        incoming: undefined,
        outgoing: undefined,
      },
      0,
    )
    return performance.now() - began
  }
  const order = shuffled(ADDRESSES, 1)
  run(order, 0, WARM_UP_TICKS)
  const ticks = run(order, WARM_UP_TICKS, TICKS)
  if (detector.trackedAddresses !== ADDRESSES) throw new Error(`tracks ${detector.trackedAddresses}`)
  const bytes = process.memoryUsage().rss - before.rss
  log(
    `detector.tick.1m: slowest of ${TICKS} ${Math.max(...ticks).toFixed(1)} ms; about ${Math.round(bytes / ADDRESSES)} bytes resident for each address, a second of entries included`,
  )
  // An agent reads its table in the same order every time, so rows lie in the order of its messages. The worst is
  // when they do not at all: many agents, much coming and going.
  const other = shuffled(ADDRESSES, 2)
  run(other, WARM_UP_TICKS + TICKS, WARM_UP_TICKS)
  const scattered = run(other, 2 * WARM_UP_TICKS + TICKS, TICKS / 2)
  log(`detector.tick.1m: ${median(scattered).toFixed(1)} ms when messages come in an order of their own`)
  const value = median(ticks)
  const result: BenchResult = {
    id: 'detector.tick.1m',
    value,
    unit: 'ms',
    reference: { what: 'half a detect_interval, ms', value: INTERVAL_MS / 2 },
    ratio: value / (INTERVAL_MS / 2),
    goal: `<= ${GOAL_MS} ms`,
    met: value <= GOAL_MS,
    runs: ticks,
  }
  return [result]
}

/** Addresses in no order: neighbours in a message must not be neighbours in memory. */
function shuffled(count: number, seed: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index)
  let state = seed
  for (let i = count - 1; i > 0; i--) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    const other = state % (i + 1)
    const swapped = order[i] as number
    order[i] = order[other] as number
    order[other] = swapped
  }
  return order
}

/** The entries of PER_TICK addresses, 10.x.y.z, from `start` in the order. */
function message(order: Uint32Array, start: number): Buffer {
  const entries = Buffer.alloc(PER_TICK * DELTA_SIZE)
  for (let i = 0; i < PER_TICK; i++) {
    const at = i * DELTA_SIZE
    entries.writeUInt16BE(0xffff, at + 10)
    entries.writeUInt32BE(0x0a000000 + (order[start + i] as number), at + 12)
    entries[at + DeltaOffset.class] = DeltaClass.udp
    entries.writeUInt32LE(1, at + DeltaOffset.flows)
    entries.writeUInt32LE(10, at + DeltaOffset.packets)
    entries.writeUInt32LE(6000, at + DeltaOffset.bytes)
  }
  return entries
}
