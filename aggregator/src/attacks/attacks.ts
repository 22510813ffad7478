// SPDX-License-Identifier: Apache-2.0
import { describeError, type Logger } from '@flowdam/common'
import { newBanId } from '../bans/ban.js'
import type { Detection, Scope } from '../detect/detection.js'
import type { HostRates } from '../detect/sample.js'
import type { Direction, Metric } from '../detect/slots.js'
import { addMix, emptyMix } from '../detect/traffic.js'
import type { Attack, AttackRates, AttackSources } from './attack.js'
import { classifyTraffic } from './classify.js'

export type AttackEventName = 'state' | 'begin' | 'update' | 'end'

export interface AttackEvent {
  event: AttackEventName
  atUnixMs: number
  attack: Attack
}

export interface AttacksOptions {
  /** What the target does now; undefined when nothing is counted for it. */
  measure: (scope: Scope, target: string) => HostRates | undefined
  /** Sources from stored flows; undefined where there are none yet. Never waited for. */
  findSources?: (attack: Attack) => Promise<AttackSources | undefined>
  log: Logger
  /** Milliseconds since 1970. */
  clock?: () => number
}

const TICK_MS = 1000
/** Below every threshold for so long, an attack is over; a pulse may come back before. */
const QUIET_MS = 30_000
/** Detections of one attack come twice a second; more than this between two is a pause. */
const PAUSE_MS = 1500
/** As many bursts make it a pulse attack. */
const PULSES = 3
const UPDATE_MS = 5000
/** Agents send flows every few seconds, and the store needs some more. */
const SOURCES_FIRST_MS = 12_000
const SOURCES_AGAIN_MS = 60_000
const HISTORY = 1000
const MOST_ACTIVE = 10_000

/** Attacks from onset to end, made of the detector's findings. Bans do not wait for anything here. */
export class Attacks {
  readonly #options: AttacksOptions
  readonly #clock: () => number
  readonly #active = new Map<string, { attack: Attack; key: Metric; updatedAt: number; sourcesAt: number }>()
  #ended: Attack[] = []
  readonly #listeners = new Set<(event: AttackEvent) => void>()
  #lastTick = 0
  #timer: NodeJS.Timeout | undefined
  begun = 0

  constructor(options: AttacksOptions) {
    this.#options = options
    this.#clock = options.clock ?? Date.now
  }

  start(): void {
    this.#lastTick = this.#clock()
    this.#timer = setInterval(() => this.tick(), TICK_MS)
    this.#timer.unref()
  }

  /** What lasts ends with us: after a restart it begins anew. */
  stop(): void {
    clearInterval(this.#timer)
    for (const key of [...this.#active.keys()]) this.#end(key)
  }

  /** A detection begins an attack or belongs to one. */
  seen(detection: Detection): Attack {
    const now = this.#clock()
    const key = `${detection.scope} ${detection.target} ${detection.direction}`
    const known = this.#active.get(key)
    if (!known) return this.#begin(key, detection, now)
    const { attack } = known
    if (now - attack.lastSeenUnixMs > PAUSE_MS) attack.bursts++
    attack.lastSeenUnixMs = now
    attack.now = ratesIn(detection.rates, detection.direction)
    attack.peak = larger(attack.peak, attack.now)
    addMix(attack.mix, detection.mix)
    attack.traffic = classifyTraffic(attack.mix, attack.direction, known.key)
    attack.type = typeOf(attack)
    return attack
  }

  /** The attack had this ban made, or extended. */
  banned(attack: Attack, banId: string): void {
    if (attack.bans.includes(banId)) return
    attack.bans.push(banId)
    this.#emit('update', attack)
  }

  /** Brings totals up to date and ends what is over; called by a timer. */
  tick(): void {
    const now = this.#clock()
    const seconds = Math.min(Math.max(0, now - this.#lastTick), 5000) / 1000
    this.#lastTick = now
    for (const [key, entry] of this.#active) {
      const { attack } = entry
      if (now - attack.lastSeenUnixMs > QUIET_MS) {
        this.#end(key)
        continue
      }
      const rates = this.#options.measure(attack.scope, attack.target)
      attack.now = rates ? ratesIn(rates, attack.direction) : { pps: 0, bps: 0, flows: 0 }
      attack.peak = larger(attack.peak, attack.now)
      attack.packets += Math.round(attack.now.pps * seconds)
      attack.bytes += Math.round((attack.now.bps / 8) * seconds)
      if (now >= entry.sourcesAt) {
        entry.sourcesAt = now + SOURCES_AGAIN_MS
        this.#lookForSources(attack)
      }
      if (now - entry.updatedAt >= UPDATE_MS) {
        entry.updatedAt = now
        this.#emit('update', attack)
      }
    }
  }

  get activeCount(): number {
    return this.#active.size
  }

  /** Oldest first. */
  active(): Attack[] {
    return [...this.#active.values()].map(({ attack }) => attack)
  }

  /** Newest first. */
  list(includeEnded: boolean, limit: number): Attack[] {
    const attacks = includeEnded ? [...this.#ended, ...this.active()] : this.active()
    return attacks.sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, limit)
  }

  get(id: string): Attack | undefined {
    return this.active().find((attack) => attack.id === id) ?? this.#ended.findLast((a) => a.id === id)
  }

  watch(listener: (event: AttackEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #begin(key: string, detection: Detection, now: number): Attack {
    const { scope, target, direction, hostgroup, metric, threshold, value, rates } = detection
    const mix = emptyMix()
    addMix(mix, detection.mix)
    const traffic = classifyTraffic(mix, direction, metric)
    const own = ratesIn(rates, direction)
    const attack: Attack = {
      id: newBanId(now),
      scope,
      target,
      direction,
      type: traffic,
      traffic,
      hostgroup,
      metric,
      threshold,
      value,
      peak: own,
      now: own,
      packets: 0,
      bytes: 0,
      startedUnixMs: now,
      lastSeenUnixMs: now,
      endedUnixMs: 0,
      bursts: 1,
      mix,
      bans: [],
    }
    attack.type = typeOf(attack)
    this.begun++
    // More attacks at a time than anybody can read are not kept: bans do not need them.
    if (this.#active.size >= MOST_ACTIVE) return attack
    this.#active.set(key, { attack, key: metric, updatedAt: now, sourcesAt: now + SOURCES_FIRST_MS })
    this.#options.log.warn(
      { attack: attack.id, target, direction, type: attack.type, metric, value: Math.round(value) },
      'attack',
    )
    this.#emit('begin', attack)
    return attack
  }

  #end(key: string): void {
    const attack = this.#active.get(key)?.attack
    if (!attack) return
    this.#active.delete(key)
    attack.endedUnixMs = attack.lastSeenUnixMs
    attack.now = { pps: 0, bps: 0, flows: 0 }
    this.#ended.push(attack)
    if (this.#ended.length > HISTORY) this.#ended = this.#ended.slice(-HISTORY)
    this.#options.log.warn({ attack: attack.id, target: attack.target, type: attack.type }, 'attack is over')
    this.#emit('end', attack)
    this.#lookForSources(attack)
  }

  #lookForSources(attack: Attack): void {
    this.#options.findSources?.(attack).then(
      (sources) => {
        if (!sources) return
        attack.sources = sources
        this.#emit('update', attack)
      },
      (error: unknown) => this.#options.log.debug({ err: describeError(error) }, 'no sources of an attack'),
    )
  }

  #emit(event: AttackEventName, attack: Attack): void {
    for (const listener of this.#listeners) listener({ event, atUnixMs: this.#clock(), attack })
  }
}

function typeOf({ scope, bursts, traffic }: Attack): Attack['type'] {
  if (scope !== 'host') return 'carpet_bombing'
  return bursts >= PULSES ? 'pulse' : traffic
}

function ratesIn(rates: HostRates, direction: Direction): AttackRates {
  const { all, flows } = rates[direction]
  return { pps: all.pps, bps: all.bps, flows }
}

function larger(a: AttackRates, b: AttackRates): AttackRates {
  return { pps: Math.max(a.pps, b.pps), bps: Math.max(a.bps, b.bps), flows: Math.max(a.flows, b.flows) }
}
