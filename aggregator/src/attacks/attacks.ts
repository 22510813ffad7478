// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import { newBanId } from '../bans/ban.js'
import { isAbove, type Rung } from '../bans/levels.js'
import type { Detection, Scope } from '../detect/detection.js'
import { FIRED_PER_MS } from '../detect/firing.js'
import type { HostRates } from '../detect/sample.js'
import type { Direction, Metric } from '../detect/slots.js'
import { addMix, emptyMix } from '../detect/traffic.js'
import type { Attack, AttackRates } from './attack.js'
import { classifyTraffic } from './classify.js'
import type { AttackDetail } from './detail/detail.js'

export type AttackEventName = 'state' | 'begin' | 'update' | 'end'

export interface AttackEvent {
  event: AttackEventName
  atUnixMs: number
  attack: Attack
}

export interface AttackFlows {
  follow(attack: Attack): void
  detail(attack: Attack): AttackDetail | undefined
  forget(attack: Attack): void
}

export interface OpenAttacks {
  start(): Attack[]
  put(attack: Attack): void
  end(id: string): void
  stop(): void
}

export interface AttacksOptions {
  /** What the target does now; undefined when nothing is counted for it. */
  measure: (scope: Scope, target: string) => HostRates | undefined
  /** The line of the configuration that a threshold comes from. */
  ruleOf?: (target: string, direction: Direction, metric: Metric, rate: number) => string
  /** Looks at the flow records of attacks under way. */
  flows?: AttackFlows
  /** Keeps what is under way for the next process. */
  journal?: OpenAttacks
  log: Logger
  /** Milliseconds since 1970. */
  clock?: () => number
}

const TICK_MS = 1000
/** Below every threshold for so long, an attack is over; a pulse may come back before. */
const QUIET_MS = 30_000
const QUIET = 'below every threshold for 30 s'
/** Detections of one attack come twice a second; more than this between two is a pause. */
const PAUSE_MS = 1500
/** As many bursts make it a pulse attack. */
const PULSES = 3
const UPDATE_MS = 5000
/** An attack that was seen so shortly before a start may be going on; one from before then is another. */
const RESUME_MS = 120_000
const HISTORY = 1000
const MOST_ACTIVE = 10_000

interface Active {
  attack: Attack
  key: Metric
  updatedAt: number
  /** After a restart, until it is seen again: when it was taken up. */
  resumedAt: number
}

/** Attacks from onset to end, made of the detector's findings. Bans do not wait for anything here. */
export class Attacks {
  readonly #options: AttacksOptions
  readonly #clock: () => number
  readonly #active = new Map<string, Active>()
  #ended: Attack[] = []
  readonly #listeners = new Set<(event: AttackEvent) => void>()
  #lastTick = 0
  #timer: NodeJS.Timeout | undefined
  begun = 0

  constructor(options: AttacksOptions) {
    this.#options = options
    this.#clock = options.clock ?? Date.now
  }

  /** Takes up what was under way when the last process ended. */
  start(): void {
    const now = this.#clock()
    this.#lastTick = now
    for (const attack of this.#options.journal?.start() ?? []) this.#resume(attack, now)
    this.#timer = setInterval(() => this.tick(), TICK_MS)
    this.#timer.unref()
  }

  /** What lasts stays open: the next process goes on with it. */
  stop(): void {
    clearInterval(this.#timer)
    for (const { attack } of this.#active.values()) {
      this.#refresh(attack)
      this.#options.journal?.put(attack)
    }
    this.#options.journal?.stop()
  }

  /** A detection begins an attack or belongs to one. */
  seen(detection: Detection): Attack {
    const now = this.#clock()
    const key = keyOf(detection)
    const known = this.#active.get(key)
    if (!known) return this.#begin(key, detection, now)
    const { attack } = known
    // Nobody looked while the aggregator was down: that is no pause.
    if (now - attack.lastSeenUnixMs > this.#pauseMs() && known.resumedAt === 0) attack.bursts++
    known.resumedAt = 0
    attack.lastSeenUnixMs = now
    attack.now = ratesIn(detection.rates, detection.direction)
    attack.peak = larger(attack.peak, attack.now)
    addMix(attack.mix, detection.mix)
    attack.traffic = classifyTraffic(attack.mix, attack.direction, known.key)
    attack.type = typeOf(attack)
    return attack
  }

  /** The attack had this ban made, brought to a further level, or extended. */
  banned(attack: Attack, banId: string, { name, at, action }: Rung): void {
    const known = attack.bans.includes(banId)
    const higher = attack.level === undefined || isAbove({ name, at, action }, attack.level)
    if (known && !higher) return
    if (!known) attack.bans.push(banId)
    if (higher) attack.level = { name, at, action }
    this.#emit('update', attack)
    if (this.#active.has(keyOf(attack))) this.#options.journal?.put(attack)
  }

  /** Brings totals up to date and ends what is over; called by a timer. */
  tick(): void {
    const now = this.#clock()
    const seconds = Math.min(Math.max(0, now - this.#lastTick), 5000) / 1000
    this.#lastTick = now
    for (const [key, entry] of this.#active) {
      const { attack } = entry
      if (now - Math.max(attack.lastSeenUnixMs, entry.resumedAt) > QUIET_MS) {
        this.#end(key, entry.resumedAt > 0 ? 'not seen again after the aggregator started anew' : QUIET)
        continue
      }
      const rates = this.#options.measure(attack.scope, attack.target)
      attack.now = rates ? ratesIn(rates, attack.direction) : { pps: 0, bps: 0, flows: 0 }
      attack.peak = larger(attack.peak, attack.now)
      attack.packets += Math.round(attack.now.pps * seconds)
      attack.bytes += Math.round((attack.now.bps / 8) * seconds)
      if (now - entry.updatedAt >= UPDATE_MS) {
        entry.updatedAt = now
        this.#refresh(attack)
        this.#emit('update', attack)
        this.#options.journal?.put(attack)
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

  /** With the detail as it is now. */
  get(id: string): Attack | undefined {
    const attack = this.active().find((each) => each.id === id)
    if (attack) this.#refresh(attack)
    return attack ?? this.#ended.findLast((each) => each.id === id)
  }

  watch(listener: (event: AttackEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Very many at once take turns to be detected: who waits for his has not paused. */
  #pauseMs(): number {
    return PAUSE_MS + (2 * this.#active.size) / FIRED_PER_MS
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
      rule: this.#options.ruleOf?.(target, direction, metric, threshold) ?? '',
      peak: own,
      now: own,
      packets: 0,
      bytes: 0,
      startedUnixMs: now,
      lastSeenUnixMs: now,
      endedUnixMs: 0,
      endReason: '',
      bursts: 1,
      mix,
      bans: [],
    }
    attack.type = typeOf(attack)
    this.begun++
    // More attacks at a time than anybody can read are not kept: bans do not need them.
    if (this.#active.size >= MOST_ACTIVE) return attack
    this.#active.set(key, { attack, key: metric, updatedAt: now, resumedAt: 0 })
    this.#options.flows?.follow(attack)
    this.#options.journal?.put(attack)
    this.#options.log.warn(
      { attack: attack.id, target, direction, type: attack.type, metric, value: Math.round(value) },
      'attack',
    )
    this.#emit('begin', attack)
    return attack
  }

  /** One that another process saw last: it goes on, or ended while nobody looked. */
  #resume(attack: Attack, now: number): void {
    const key = keyOf(attack)
    const metric = attack.metric as Metric
    this.#active.set(key, { attack, key: metric, updatedAt: now, resumedAt: now })
    if (now - attack.lastSeenUnixMs > RESUME_MS || now < attack.lastSeenUnixMs) {
      this.#end(key, 'the aggregator was down when it ended')
      return
    }
    this.#options.flows?.follow(attack)
    this.#options.log.warn({ attack: attack.id, target: attack.target }, 'attack taken up from the journal')
  }

  #end(key: string, reason: string): void {
    const attack = this.#active.get(key)?.attack
    if (!attack) return
    this.#active.delete(key)
    attack.endedUnixMs = attack.lastSeenUnixMs
    attack.endReason = reason
    attack.now = { pps: 0, bps: 0, flows: 0 }
    this.#refresh(attack)
    this.#options.flows?.forget(attack)
    this.#ended.push(attack)
    if (this.#ended.length > HISTORY) this.#ended = this.#ended.slice(-HISTORY)
    this.#options.log.warn(
      { attack: attack.id, target: attack.target, type: attack.type, reason },
      'attack is over',
    )
    this.#emit('end', attack)
    this.#options.journal?.end(attack.id)
  }

  #refresh(attack: Attack): void {
    const detail = this.#options.flows?.detail(attack)
    if (detail) attack.detail = detail
  }

  #emit(event: AttackEventName, attack: Attack): void {
    for (const listener of this.#listeners) listener({ event, atUnixMs: this.#clock(), attack })
  }
}

function keyOf({ scope, target, direction }: Pick<Attack, 'scope' | 'target' | 'direction'>): string {
  return `${scope} ${target} ${direction}`
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
