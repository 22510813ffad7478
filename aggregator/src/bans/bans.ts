// SPDX-License-Identifier: Apache-2.0
import {
  contains,
  describeError,
  FlowdamError,
  formatDuration,
  type Logger,
  type Prefix,
  parsePrefix,
} from '@flowdam/common'
import type { Detection } from '../detect/detection.js'
import { type HostRates, NO_RATES } from '../detect/sample.js'
import type { Direction } from '../detect/slots.js'
import { type Ban, type HookAction, type HookRun, newBanId } from './ban.js'
import { Brake, type BrakeStatus, RELEASED } from './brake.js'
import { Guard, GuardError, type GuardReason, type GuardRules } from './guard.js'
import type { Journal, JournalEntry } from './journal.js'
import { banTargets, type CarpetRules } from './targets.js'

export interface BanRules extends GuardRules, CarpetRules {
  enabled: boolean
  durationMs: number
  /** What repeated bans of the same attack may grow to; no back-off where it is not above durationMs. */
  maxDurationMs: number
  dryRun: boolean
  /** After a person removed a ban, the detector leaves the prefix alone for this long. */
  holdOffMs: number
}

/** What carries bans out. Must return at once. */
export interface BanActions {
  /** `decidedAt` is performance.now() of the decision. */
  run(action: HookAction, ban: Ban, decidedAt: number): void
}

export type BanEventName = 'state' | 'ban' | 'unban' | 'hook' | 'extend'

export interface BanEvent {
  event: BanEventName
  atUnixMs: number
  ban: Ban
}

export interface BansOptions {
  rules: BanRules
  journal: Journal
  actions: BanActions
  log: Logger
  /** Milliseconds since 1970. */
  clock?: () => number
}

export interface AddBan {
  prefix: string
  direction: Direction
  /** 0 for the configured duration. */
  durationMs: number
  who: string
  reason: string
  hostgroup: string
  rates: HostRates
}

/** The attack that a detection belongs to. */
export interface AttackLabel {
  id: string
  type: string
}

const NO_ATTACK: AttackLabel = { id: '', type: '' }

/** What became of a detection. */
export type DetectionOutcome =
  | { outcome: 'banned' | 'extended'; ban: Ban }
  | { outcome: 'disabled' }
  | { outcome: 'held_off'; untilUnixMs: number }
  | { outcome: 'refused'; reason: GuardReason; message: string }

const HISTORY = 1000
/**
 * Behind a blackhole an attack cannot be seen, so a ban that runs out is a probe. When the prefix is banned again so soon
 * after, the attack was still on.
 */
const PROBE_MS = 60_000
const MAX_RUNS = 50
/** The same refusal for the same prefix is logged this often. */
const REPEAT_LOG_MS = 60_000
const LONGEST_TIMER_MS = 3_600_000

/**
 * Bans from decision to end: banned → extended while the attack lasts → unbanned. One ban for a prefix at a time.
 * Every change is in the journal before it has any effect outside.
 */
export class Bans {
  readonly #journal: Journal
  readonly #actions: BanActions
  readonly #log: Logger
  readonly #clock: () => number
  #rules: BanRules
  #guard: Guard
  readonly #brake = new Brake()
  /** In force, by prefix text. */
  readonly #active = new Map<string, { ban: Ban; prefix: Prefix; journaledUntil: number }>()
  /** Ended, oldest first. */
  #ended: Ban[] = []
  readonly #heldOff = new Map<string, number>()
  readonly #listeners = new Set<(event: BanEvent) => void>()
  readonly #refusalLogged = new Map<string, number>()
  readonly refusals: Record<GuardReason, number> = {
    outside_networks: 0,
    exempt: 0,
    too_wide: 0,
    max_active: 0,
    rate_limit: 0,
    paused: 0,
    tripped: 0,
  }
  made = 0
  extended = 0
  #timer: NodeJS.Timeout | undefined
  #running = false

  constructor(options: BansOptions) {
    this.#rules = options.rules
    this.#guard = new Guard(options.rules)
    this.#journal = options.journal
    this.#actions = options.actions
    this.#log = options.log
    this.#clock = options.clock ?? Date.now
  }

  /** Takes up what the journal says, and has it carried out again: a speaker may have forgotten, or never been told. */
  start(): void {
    const entries = this.#journal.open()
    const bans = replay(entries)
    this.#running = true
    const now = this.#clock()
    for (const ban of bans) {
      if (ban.holdOffUntilUnixMs > now) this.#heldOff.set(ban.prefix, ban.holdOffUntilUnixMs)
      if (ban.state === 'banned') {
        const prefix = parsePrefix(ban.prefix)
        this.#active.set(ban.prefix, { ban, prefix, journaledUntil: ban.untilUnixMs })
      } else this.#ended.push(ban)
    }
    this.#brake.restore(
      replayBrake(entries),
      bans.filter(({ who }) => who === 'detector').map((ban) => ban.bannedUnixMs),
    )
    if (this.#brake.engaged) this.#log.error({ ...this.#brake.status }, 'the detector bans nothing')
    this.#ended = this.#ended.slice(-HISTORY)
    this.#journal.compact(this.#all())
    for (const ban of this.#ended) {
      if (ban.settled || ban.dryRun) continue
      // Withdrawn already in memory of the journal, perhaps not at the router. Not when it is banned again since.
      if (this.#active.has(ban.prefix)) this.settled(ban.id)
      else this.#actions.run('unban', ban, performance.now())
    }
    this.#endForbidden()
    this.tick()
    for (const { ban } of this.#active.values()) {
      this.#log.info({ ban: ban.id, prefix: ban.prefix, dryRun: ban.dryRun }, 'ban taken up from the journal')
      if (!ban.dryRun && !this.#rules.dryRun) this.#actions.run('ban', ban, performance.now())
    }
  }

  stop(): void {
    this.#running = false
    clearTimeout(this.#timer)
    this.#journal.close()
  }

  get rules(): BanRules {
    return this.#rules
  }

  /** Other rules from now on. Bans that they forbid end. */
  reconfigure(rules: BanRules): void {
    this.#rules = rules
    this.#guard = new Guard(rules)
    this.#endForbidden()
  }

  /** A threshold is exceeded: bans, or extends the ban that covers it. One outcome for each prefix to be banned. */
  detected(detection: Detection, attack: AttackLabel = NO_ATTACK): DetectionOutcome[] {
    const targets = banTargets(
      detection,
      this.#rules,
      (prefix) => this.#covering(prefix) !== undefined || this.#guard.prefixObjection(prefix) === undefined,
    )
    if (targets.length === 0) {
      this.#logRepeated(
        detection.target,
        'attack detected; no address or prefix of it may be banned',
        detection,
      )
    }
    return targets.map((prefix) => this.#decide(prefix, detection, attack))
  }

  #decide(prefix: Prefix, detection: Detection, attack: AttackLabel): DetectionOutcome {
    const now = this.#clock()
    const covering = this.#covering(prefix)
    if (covering) {
      this.#extend(covering, now)
      return { outcome: 'extended', ban: covering.ban }
    }
    if (!this.#rules.enabled) {
      this.#logRepeated(prefix.text, 'attack detected; ban.enabled is false', detection)
      return { outcome: 'disabled' }
    }
    const heldUntil = this.#heldOff.get(prefix.text) ?? 0
    if (heldUntil > now) return { outcome: 'held_off', untilUnixMs: heldUntil }
    const objection = this.#detectorObjection(prefix, now)
    if (objection) {
      const { reason, message } = objection
      this.refusals[reason]++
      this.#logRepeated(prefix.text, `attack detected, not banned: ${describeError(objection)}`, detection)
      if (reason === 'max_active') this.#trip(now)
      return { outcome: 'refused', reason, message }
    }
    this.#brake.made(now)
    const { metric, threshold, value, direction, hostgroup, rates, averages } = detection
    const round = this.#roundOf(prefix, now)
    const ban = this.#make(prefix, now, this.#durationOf(round), detection.receivedAt, {
      round,
      direction,
      metric,
      threshold,
      value,
      rates,
      averages,
      hostgroup,
      who: 'detector',
      attackId: attack.id,
      attackType: attack.type,
      reason: `${attack.type === '' ? '' : `${attack.type}: `}${metric}${detection.scope === 'host' ? '' : ` of ${detection.target}`} ${Math.round(value)} over ${Math.round(threshold)}`,
    })
    return { outcome: 'banned', ban }
  }

  /** Whether the detector bans, and if not, who stopped it and why. */
  get brake(): BrakeStatus {
    return this.#brake.status
  }

  /** The detector bans nothing more until `resume`, across restarts. With `release` the bans in force end, too. */
  pause(who: string, reason: string, release = false): BrakeStatus {
    this.#setBrake({ state: 'paused', sinceUnixMs: this.#clock(), who: who || 'unknown', reason })
    if (release) {
      for (const { ban } of [...this.#active.values()]) {
        this.#end(ban, who || 'unknown', reason || 'bans were paused', 0)
      }
    }
    return this.#brake.status
  }

  /** The detector bans again, whether a person or the circuit breaker stopped it. */
  resume(who: string, reason: string): BrakeStatus {
    this.#setBrake({ state: 'running', sinceUnixMs: this.#clock(), who: who || 'unknown', reason })
    return this.#brake.status
  }

  /** A ban by hand. Throws GuardError, FD_BAN_EXISTS, FD_PREFIX_INVALID. */
  add(request: AddBan): Ban {
    const prefix = parsePrefix(request.prefix)
    const known = this.#active.get(prefix.text)
    if (known) {
      throw new FlowdamError(
        'FD_BAN_EXISTS',
        `${prefix.text} is banned already (${known.ban.id}, ${known.ban.who})`,
      )
    }
    const objection = this.#guard.objection(prefix, this.#active.size)
    if (objection) {
      this.refusals[objection.reason]++
      throw objection
    }
    const now = this.#clock()
    this.#heldOff.delete(prefix.text)
    return this.#make(prefix, now, request.durationMs || this.#rules.durationMs, performance.now(), {
      direction: request.direction,
      metric: 'manual',
      threshold: 0,
      value: 0,
      rates: request.rates,
      averages: request.rates,
      hostgroup: request.hostgroup,
      round: 0,
      attackId: '',
      attackType: '',
      who: request.who || 'unknown',
      reason: request.reason,
    })
  }

  /** Ends a ban by address, prefix or id. Throws FD_BAN_UNKNOWN. */
  remove(target: string, who: string, reason: string): Ban {
    const entry = this.#find(target)
    if (!entry) throw new FlowdamError('FD_BAN_UNKNOWN', `nothing is banned as '${target}'`)
    const holdOff = this.#rules.holdOffMs > 0 ? this.#clock() + this.#rules.holdOffMs : 0
    return this.#end(entry.ban, who || 'unknown', reason || 'removed by hand', holdOff)
  }

  /** Ends what is due; called by a timer. */
  tick(): void {
    const now = this.#clock()
    for (const { ban } of [...this.#active.values()]) {
      if (ban.untilUnixMs <= now) this.#end(ban, 'detector', 'its time is over', 0)
    }
    for (const [prefix, until] of this.#heldOff) if (until <= now) this.#heldOff.delete(prefix)
    this.#compactIfDue()
    this.#schedule()
  }

  /** An attempt of a hook began or ended. */
  hookRan(id: string, run: HookRun): void {
    const ban = this.get(id)
    if (!ban) return
    const at = ban.hooks.findIndex(
      (known) =>
        known.result === 'running' && known.hook === run.hook && known.startedUnixMs === run.startedUnixMs,
    )
    if (at >= 0) ban.hooks[at] = run
    else ban.hooks.push(run)
    if (ban.hooks.length > MAX_RUNS) ban.hooks.splice(0, ban.hooks.length - MAX_RUNS)
    if (run.result === 'running') return
    this.#write({ type: 'hook', id, run })
    this.#emit('hook', ban)
  }

  /** Every hook's unban action has ended: nothing is left to do for this ban. */
  settled(id: string): void {
    const ban = this.get(id)
    if (!ban || ban.settled || ban.state !== 'unbanned') return
    ban.settled = true
    this.#write({ type: 'settled', id })
  }

  get activeCount(): number {
    return this.#active.size
  }

  /** In force, oldest first. */
  active(): Ban[] {
    return [...this.#active.values()].map(({ ban }) => ban)
  }

  /** Newest first. */
  list(includeEnded: boolean, limit: number): Ban[] {
    const bans = includeEnded ? [...this.#ended, ...this.active()] : this.active()
    return bans.sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, limit)
  }

  get(id: string): Ban | undefined {
    for (const { ban } of this.#active.values()) if (ban.id === id) return ban
    return this.#ended.findLast((ban) => ban.id === id)
  }

  /** The ban in force that covers an address. */
  covering(address: Uint8Array): Ban | undefined {
    return this.#covering({ bytes: address, length: 128, text: '' })?.ban
  }

  /** Until when the detector leaves this prefix alone; 0 when it does not. */
  heldOffUntil(prefixText: string): number {
    const until = this.#heldOff.get(prefixText) ?? 0
    return until > this.#clock() ? until : 0
  }

  /** Why the detector could not ban this prefix now; undefined when it could. */
  objection(prefix: Prefix): GuardError | undefined {
    return this.#detectorObjection(prefix, this.#clock())
  }

  /** Calls back for each change until the returned function is called. */
  watch(listener: (event: BanEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #setBrake(status: BrakeStatus): void {
    this.#brake.set(status)
    this.#write({ type: 'brake', ...status })
    const stopped = status.state !== 'running'
    this.#log[stopped ? 'error' : 'warn'](
      { ...status },
      stopped ? 'the detector bans nothing' : 'the detector bans again',
    )
  }

  /** More bans than anybody planned for: rather a mistake of ours than so many attacks. */
  #trip(now: number): void {
    this.#setBrake({
      state: 'tripped',
      sinceUnixMs: now,
      who: 'detector',
      reason: `ban.max_active (${this.#rules.maxActive}) is reached; look at the bans, then 'flowdam bans resume'`,
    })
  }

  #detectorObjection(prefix: Prefix, now: number): GuardError | undefined {
    const { state, who, reason } = this.#brake.status
    const fixed = this.#guard.prefixObjection(prefix)
    if (fixed) return fixed
    if (state !== 'running') return new GuardError(state, `bans are ${state} (${who}: ${reason})`)
    const full = this.#guard.objection(prefix, this.#active.size)
    if (full) return full
    const most = this.#rules.maxPerMinute
    if (!this.#brake.tooFast(now, most)) return undefined
    return new GuardError(
      'rate_limit',
      `ban.max_per_minute is ${most}, and so many were made in the last minute`,
    )
  }

  #make(
    prefix: Prefix,
    now: number,
    durationMs: number,
    decidedAt: number,
    what: Pick<
      Ban,
      | 'round'
      | 'direction'
      | 'metric'
      | 'threshold'
      | 'value'
      | 'rates'
      | 'averages'
      | 'hostgroup'
      | 'attackId'
      | 'attackType'
      | 'who'
      | 'reason'
    >,
  ): Ban {
    const ban: Ban = {
      id: newBanId(now),
      prefix: prefix.text,
      state: 'banned',
      ...what,
      detectedUnixMs: now,
      bannedUnixMs: now,
      untilUnixMs: now + durationMs,
      unbannedUnixMs: 0,
      endedBy: '',
      endReason: '',
      holdOffUntilUnixMs: 0,
      dryRun: this.#rules.dryRun,
      settled: false,
      hooks: [],
    }
    this.#write({ type: 'put', ban })
    this.#active.set(prefix.text, { ban, prefix, journaledUntil: ban.untilUnixMs })
    this.made++
    if (!ban.dryRun) this.#actions.run('ban', ban, decidedAt)
    this.#log.warn(
      {
        ban: ban.id,
        prefix: ban.prefix,
        direction: ban.direction,
        metric: ban.metric,
        value: Math.round(ban.value),
        threshold: ban.threshold,
        who: ban.who,
        dryRun: ban.dryRun,
        for: formatDuration(durationMs),
      },
      ban.dryRun ? 'banned (dry run: no hook)' : 'banned',
    )
    this.#emit('ban', ban)
    this.#schedule()
    return ban
  }

  /** The attack outlived the last probe: one more round. A ban that a person or a guard rail ended was no probe. */
  #roundOf(prefix: Prefix, now: number): number {
    const last = this.#ended.findLast((ban) => ban.prefix === prefix.text)
    if (last?.endedBy !== 'detector' || last.who !== 'detector') return 0
    return now - last.unbannedUnixMs <= PROBE_MS ? last.round + 1 : 0
  }

  #durationOf(round: number): number {
    const { durationMs, maxDurationMs } = this.#rules
    return Math.max(durationMs, Math.min(maxDurationMs, durationMs * 2 ** Math.min(round, 30)))
  }

  #extend(entry: { ban: Ban; journaledUntil: number }, now: number): void {
    const { ban } = entry
    const duration = this.#durationOf(ban.round)
    const until = now + duration
    if (until <= ban.untilUnixMs) return
    ban.untilUnixMs = until
    // Ten detections a second need not be ten lines a second: a crash may cost this much of an extension.
    if (until - entry.journaledUntil < Math.max(500, duration / 20)) return
    entry.journaledUntil = until
    this.extended++
    this.#write({ type: 'extend', id: ban.id, untilUnixMs: until })
    this.#emit('extend', ban)
  }

  #end(ban: Ban, endedBy: string, endReason: string, holdOffUntilUnixMs: number): Ban {
    const now = this.#clock()
    Object.assign(ban, { state: 'unbanned', unbannedUnixMs: now, endedBy, endReason, holdOffUntilUnixMs })
    this.#write({ type: 'end', id: ban.id, unbannedUnixMs: now, endedBy, endReason, holdOffUntilUnixMs })
    this.#active.delete(ban.prefix)
    this.#ended.push(ban)
    if (this.#ended.length > HISTORY) this.#ended.shift()
    if (holdOffUntilUnixMs > now) this.#heldOff.set(ban.prefix, holdOffUntilUnixMs)
    // Carried out even when bans are in dry run now: what was announced must be withdrawn.
    if (!ban.dryRun) this.#actions.run('unban', ban, performance.now())
    this.#log.warn(
      {
        ban: ban.id,
        prefix: ban.prefix,
        endedBy,
        reason: endReason,
        after: formatDuration(now - ban.bannedUnixMs),
      },
      'unbanned',
    )
    this.#emit('unban', ban)
    return ban
  }

  /** The guard rails hold at every moment, not only when a ban is made. */
  #endForbidden(): void {
    for (const { ban, prefix } of [...this.#active.values()]) {
      const objection = this.#guard.prefixObjection(prefix)
      if (objection) this.#end(ban, 'guard', objection.message, 0)
    }
  }

  #covering(prefix: Prefix): { ban: Ban; prefix: Prefix; journaledUntil: number } | undefined {
    for (const entry of this.#active.values()) if (contains(entry.prefix, prefix)) return entry
    return undefined
  }

  #find(target: string): { ban: Ban } | undefined {
    for (const entry of this.#active.values()) if (entry.ban.id === target) return entry
    try {
      return this.#active.get(parsePrefix(target).text)
    } catch {
      return undefined
    }
  }

  /** The journal's lines that say everything as it is now. */
  *#all(): IterableIterator<JournalEntry> {
    if (this.#brake.status.sinceUnixMs > 0) yield { type: 'brake', ...this.#brake.status }
    for (const ban of this.#ended) yield { type: 'put', ban }
    for (const { ban } of this.#active.values()) yield { type: 'put', ban }
  }

  #write(entry: JournalEntry): void {
    this.#journal.append(entry)
  }

  #compactIfDue(): void {
    if (this.#journal.wantsCompaction) this.#journal.compact(this.#all())
  }

  #emit(event: BanEventName, ban: Ban): void {
    for (const listener of this.#listeners) listener({ event, atUnixMs: this.#clock(), ban })
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    if (!this.#running) return
    let next = LONGEST_TIMER_MS
    const now = this.#clock()
    for (const { ban } of this.#active.values()) next = Math.min(next, ban.untilUnixMs - now)
    if (this.#journal.wantsCompaction) next = Math.min(next, 5000)
    this.#timer = setTimeout(() => this.tick(), Math.max(10, next))
    this.#timer.unref()
  }

  #logRepeated(prefix: string, message: string, detection: Detection): void {
    const now = this.#clock()
    if (now - (this.#refusalLogged.get(prefix) ?? 0) < REPEAT_LOG_MS) return
    if (this.#refusalLogged.size > 10_000) this.#refusalLogged.clear()
    this.#refusalLogged.set(prefix, now)
    const { metric, value, threshold, direction } = detection
    this.#log.warn({ prefix, direction, metric, value: Math.round(value), threshold }, message)
  }
}

/** Bans as a journal tells of them, oldest first. */
export function replay(entries: readonly JournalEntry[]): Ban[] {
  const bans = new Map<string, Ban>()
  for (const entry of entries) {
    if (entry.type === 'put') {
      bans.set(entry.ban.id, {
        ...entry.ban,
        rates: entry.ban.rates ?? NO_RATES,
        round: entry.ban.round ?? 0,
        attackId: entry.ban.attackId ?? '',
        attackType: entry.ban.attackType ?? '',
      })
      continue
    }
    if (entry.type === 'brake') continue
    const ban = bans.get(entry.id)
    if (!ban) continue
    if (entry.type === 'extend') ban.untilUnixMs = entry.untilUnixMs
    else if (entry.type === 'settled') ban.settled = true
    else if (entry.type === 'hook') ban.hooks.push(entry.run)
    else {
      const { unbannedUnixMs, endedBy, endReason, holdOffUntilUnixMs } = entry
      Object.assign(ban, { state: 'unbanned', unbannedUnixMs, endedBy, endReason, holdOffUntilUnixMs })
    }
  }
  // A run that the process did not see the end of.
  for (const ban of bans.values()) ban.hooks = ban.hooks.filter((run) => run.result !== 'running')
  return [...bans.values()]
}

/** The last word of a journal on whether the detector bans. */
export function replayBrake(entries: readonly JournalEntry[]): BrakeStatus {
  const last = entries.findLast((entry) => entry.type === 'brake')
  if (!last) return RELEASED
  const { state, sinceUnixMs, who, reason } = last
  return { state, sinceUnixMs, who, reason }
}
