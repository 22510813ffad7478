// SPDX-License-Identifier: Apache-2.0
import { Detector } from '@flowdam/aggregator'
import { Baselines } from '@flowdam/aggregator/internal/detect/baseline/baselines'
import type { BaselineSource } from '@flowdam/aggregator/internal/detect/baseline/rule'
import { PolicySet } from '@flowdam/aggregator/internal/detect/policies'
import { createLogger, parsePrefix } from '@flowdam/common'
import { DELTA_SIZE, DeltaClass, DeltaOffset } from '@flowdam/proto'
import { type Bench, type BenchResult, median } from './result.js'

const ADDRESSES = 1_000_000
const INTERVAL_MS = 100
/** Each address moves once in the window of a second: a tenth of them in each message. */
const PER_TICK = ADDRESSES / 10
const WARM_UP_TICKS = 20
const TICKS = 60
const GOAL_MS = 50
/** By then every profile is taken: 2000 of them every 200 ms. */
const LEARNING_TICKS = 120
const PROFILES = 65_536

/**
 * One tick of the detector with a million tracked addresses, every one of which moves once a second: reading a
 * message of 100 000 entries, adding them, taking 100 000 out of the window, comparing with five thresholds.
 */
export const detectorTick: Bench = async ({ log }) => [measureTicks('detector.tick.1m', undefined, log)]

/** The same with every profile of learned baselines taken; learning itself is measured apart. */
export const detectorTickLearned: Bench = async ({ log }) => [
  measureTicks('detector.tick.1m.learned', { floor: { pps: 20, bps: 1000 } }, log),
]

function measureTicks(
  id: string,
  baseline: BaselineSource | undefined,
  log: (text: string) => void,
): BenchResult {
  let now = 1000
  const before = process.memoryUsage()
  const baselines = new Baselines({ log: createLogger('bench'), maxProfiles: PROFILES, wallClock: () => now })
  const detector = new Detector({
    baselines,
    policies: new PolicySet({
      networks: [parsePrefix('10.0.0.0/8')],
      thresholds: {
        baseline,
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
  /** What is done besides, by a timer: here every 200 ms. */
  const learning: number[] = []
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
    const took = performance.now() - began
    if (tick % 2 === 0) {
      const beganLearning = performance.now()
      detector.tick()
      learning.push(performance.now() - beganLearning)
    }
    return took
  }
  const order = shuffled(ADDRESSES, 1)
  const warmUp = baseline ? LEARNING_TICKS : WARM_UP_TICKS
  run(order, 0, warmUp)
  learning.length = 0
  const ticks = run(order, warmUp, TICKS)
  if (detector.trackedAddresses !== ADDRESSES) throw new Error(`tracks ${detector.trackedAddresses}`)
  const bytes = process.memoryUsage().rss - before.rss
  const slowest = Math.max(...ticks).toFixed(1)
  // What this process took before is used again and not seen.
  const memory = baseline
    ? ''
    : `; about ${Math.round(bytes / ADDRESSES)} bytes resident for each address, a second of entries included`
  log(`${id}: slowest of ${TICKS} ${slowest} ms${memory}`)
  // An agent reads its table in the same order every time, so rows lie in the order of its messages. The worst is
  // when they do not at all: many agents, much coming and going.
  const other = shuffled(ADDRESSES, 2)
  run(other, warmUp + TICKS, WARM_UP_TICKS)
  const scattered = run(other, warmUp + WARM_UP_TICKS + TICKS, TICKS / 2)
  log(`${id}: ${median(scattered).toFixed(1)} ms when messages come in an order of their own`)
  if (baseline) {
    const worst = Math.max(...learning).toFixed(1)
    log(
      `${id}: ${baselines.size} profiles; learning ${median(learning).toFixed(1)} ms, at most ${worst} ms, every 200 ms`,
    )
  }
  const value = median(ticks)
  return {
    id,
    value,
    unit: 'ms',
    reference: { what: 'half a detect_interval, ms', value: INTERVAL_MS / 2 },
    ratio: value / (INTERVAL_MS / 2),
    goal: `<= ${GOAL_MS} ms`,
    met: value <= GOAL_MS,
    runs: ticks,
  }
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
