// SPDX-License-Identifier: Apache-2.0
import { describeError, FlowdamError, type Logger, type Prefix, parsePrefix } from '@flowdam/common'
import type { Detection } from '../detect/detection.js'
import type { BanActions } from './actions.js'
import type { ActiveBan, ActiveBans } from './active.js'
import { type Ban, type HookRun, newBanId } from './ban.js'
import { BanBook } from './book.js'
import type { BrakeStatus } from './brake.js'
import { type AddBan, type BanCause, causeOf, manualCause } from './cause.js'
import type { BanEvent } from './events.js'
import type { GuardError } from './guard.js'
import type { Journal } from './journal.js'
import { DetectionLog, logBan, logUnban } from './log.js'
import { type AttackLabel, type DetectionOutcome, NO_ATTACK } from './outcome.js'
import type { PastBans } from './past.js'
import { Permission } from './permission.js'
import type { BanRules } from './rules.js'
import { banTargets } from './targets.js'

export interface BansOptions {
  rules: BanRules
  journal: Journal
  actions: BanActions
  log: Logger
  /** Milliseconds since 1970. */
  clock?: () => number
}

const LONGEST_TIMER_MS = 3_600_000

/**
 * Bans from decision to end: banned → extended while the attack lasts → unbanned. One ban for a prefix at a time.
 * Every change is in the journal before it has any effect outside.
 */
export class Bans {
  readonly #actions: BanActions
  readonly #log: Logger
  readonly #clock: () => number
  #rules: BanRules
  readonly #permission: Permission
  readonly #book: BanBook
  readonly #detectionLog: DetectionLog
  made = 0
  #timer: NodeJS.Timeout | undefined
  #running = false

  constructor(options: BansOptions) {
    this.#rules = options.rules
    this.#permission = new Permission(options.rules)
    this.#actions = options.actions
    this.#log = options.log
    this.#clock = options.clock ?? Date.now
    this.#book = new BanBook(options.journal, this.#permission.brake, this.#clock)
    this.#detectionLog = new DetectionLog(options.log)
  }

  /** Takes up what the journal says, and has it carried out again: a speaker may have forgotten, or never been told. */
  start(): void {
    this.#book.open()
    this.#running = true
    const { brake } = this.#permission
    if (brake.engaged) this.#log.error({ ...brake.status }, 'the detector bans nothing')
    for (const ban of this.#past.all()) {
      if (ban.settled || ban.dryRun) continue
      // Withdrawn already in memory of the journal, perhaps not at the router. Not when it is banned again since.
      if (this.#active.of(parsePrefix(ban.prefix))) this.#book.settled(ban.id)
      else this.#actions.run('unban', ban, performance.now())
    }
    this.#endForbidden()
    this.tick()
    for (const { ban } of this.#active.all()) {
      this.#log.info({ ban: ban.id, prefix: ban.prefix, dryRun: ban.dryRun }, 'ban taken up from the journal')
      if (!ban.dryRun && !this.#rules.dryRun) this.#actions.run('ban', ban, performance.now())
    }
  }

  stop(): void {
    this.#running = false
    clearTimeout(this.#timer)
    this.#book.close()
  }

  get rules(): BanRules {
    return this.#rules
  }

  /** Other rules from now on. Bans that they forbid end. */
  reconfigure(rules: BanRules): void {
    this.#rules = rules
    this.#permission.reconfigure(rules)
    this.#endForbidden()
  }

  /** A threshold is exceeded: bans, or extends the ban that covers it. One outcome for each prefix to be banned. */
  detected(detection: Detection, attack: AttackLabel = NO_ATTACK): DetectionOutcome[] {
    const targets = banTargets(
      detection,
      this.#rules,
      (prefix) =>
        this.#active.covering(prefix) !== undefined || this.#permission.prefixObjection(prefix) === undefined,
    )
    if (targets.length === 0) {
      const message = 'attack detected; no address or prefix of it may be banned'
      this.#detectionLog.warn(detection.target, message, detection, this.#clock())
    }
    return targets.map((prefix) => this.#decide(prefix, detection, attack))
  }

  #decide(prefix: Prefix, detection: Detection, attack: AttackLabel): DetectionOutcome {
    const now = this.#clock()
    const covering = this.#active.covering(prefix)
    if (covering) {
      this.#extend(covering, now)
      return { outcome: 'extended', ban: covering.ban }
    }
    if (!this.#rules.enabled) {
      this.#detectionLog.warn(prefix.text, 'attack detected; ban.enabled is false', detection, now)
      return { outcome: 'disabled' }
    }
    const heldUntil = this.#past.heldOffUntil(prefix.text, now)
    if (heldUntil > 0) return { outcome: 'held_off', untilUnixMs: heldUntil }
    const objection = this.#permission.detectorObjection(prefix, this.#active.size, now)
    if (objection) {
      const { reason, message } = objection
      this.#permission.refused(objection)
      const line = `attack detected, not banned: ${describeError(objection)}`
      this.#detectionLog.warn(prefix.text, line, detection, now)
      if (reason === 'max_active') this.#trip(now)
      return { outcome: 'refused', reason, message }
    }
    this.#permission.brake.made(now)
    const round = this.#past.roundOf(prefix, now)
    const cause = { ...causeOf(detection, attack), round }
    const ban = this.#make(prefix, now, this.#durationOf(round), detection.receivedAt, cause)
    return { outcome: 'banned', ban }
  }

  /** Whether the detector bans, and if not, who stopped it and why. */
  get brake(): BrakeStatus {
    return this.#permission.brake.status
  }

  /** By reason. */
  get refusals(): Permission['refusals'] {
    return this.#permission.refusals
  }

  /** The detector bans nothing more until `resume`, across restarts. With `release` the bans in force end, too. */
  pause(who: string, reason: string, release = false, by = ''): BrakeStatus {
    this.#setBrake({ state: 'paused', sinceUnixMs: this.#clock(), who: who || 'unknown', reason })
    if (release) {
      for (const { ban } of this.#active.all()) {
        this.#end(ban, who || 'unknown', reason || 'bans were paused', 0, by)
      }
    }
    return this.brake
  }

  /** The detector bans again, whether a person or the circuit breaker stopped it. */
  resume(who: string, reason: string): BrakeStatus {
    this.#setBrake({ state: 'running', sinceUnixMs: this.#clock(), who: who || 'unknown', reason })
    return this.brake
  }

  /** A ban by hand. Throws GuardError, FD_BAN_EXISTS, FD_PREFIX_INVALID. */
  add(request: AddBan): Ban {
    const prefix = parsePrefix(request.prefix)
    const known = this.#active.of(prefix)
    if (known) {
      throw new FlowdamError(
        'FD_BAN_EXISTS',
        `${prefix.text} is banned already (${known.ban.id}, ${known.ban.who})`,
      )
    }
    const objection = this.#permission.personObjection(prefix, this.#active.size)
    if (objection) {
      this.#permission.refused(objection)
      throw objection
    }
    const now = this.#clock()
    this.#past.endHoldOff(prefix.text)
    const durationMs = request.durationMs || this.#rules.durationMs
    return this.#make(prefix, now, durationMs, performance.now(), manualCause(request))
  }

  /** Ends a ban by address, prefix or id. Throws FD_BAN_UNKNOWN. */
  remove(target: string, who: string, reason: string, by = ''): Ban {
    const entry = this.#active.find(target)
    if (!entry) throw new FlowdamError('FD_BAN_UNKNOWN', `nothing is banned as '${target}'`)
    const holdOff = this.#rules.holdOffMs > 0 ? this.#clock() + this.#rules.holdOffMs : 0
    return this.#end(entry.ban, who || 'unknown', reason || 'removed by hand', holdOff, by)
  }

  /** Ends what is due; called by a timer. */
  tick(): void {
    const now = this.#clock()
    for (const { ban } of this.#active.all()) {
      if (ban.untilUnixMs <= now) this.#end(ban, 'detector', 'its time is over', 0)
    }
    this.#past.forgetHoldOffs(now)
    this.#book.compactIfWanted()
    this.#schedule()
  }

  /** An attempt of a hook began or ended. */
  hookRan(id: string, run: HookRun): void {
    this.#book.hookRan(id, run)
  }

  /** Every hook's unban action has ended. */
  settled(id: string): void {
    this.#book.settled(id)
  }

  get extended(): number {
    return this.#book.extended
  }

  get activeCount(): number {
    return this.#active.size
  }

  /** In force, oldest first. */
  active(): Ban[] {
    return this.#active.all().map(({ ban }) => ban)
  }

  /** Newest first. */
  list(includeEnded: boolean, limit: number): Ban[] {
    const bans = includeEnded ? [...this.#past.all(), ...this.active()] : this.active()
    return bans.sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, limit)
  }

  get(id: string): Ban | undefined {
    return this.#book.get(id)
  }

  /** The ban in force that covers an address. */
  covering(address: Uint8Array): Ban | undefined {
    return this.#active.covering({ bytes: address, length: 128, text: '' })?.ban
  }

  /** Until when the detector leaves this prefix alone; 0 when it does not. */
  heldOffUntil(prefixText: string): number {
    return this.#past.heldOffUntil(prefixText, this.#clock())
  }

  /** Why the detector could not ban this prefix now; undefined when it could. */
  objection(prefix: Prefix): GuardError | undefined {
    return this.#permission.detectorObjection(prefix, this.#active.size, this.#clock())
  }

  /** Calls back for each change until the returned function is called. */
  watch(listener: (event: BanEvent) => void): () => void {
    return this.#book.watch(listener)
  }

  #setBrake(status: BrakeStatus): void {
    this.#book.setBrake(status)
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

  #make(prefix: Prefix, now: number, durationMs: number, decidedAt: number, what: BanCause): Ban {
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
    this.made++
    this.#book.put(ban, prefix, () => {
      if (!ban.dryRun) this.#actions.run('ban', ban, decidedAt)
      logBan(this.#log, ban)
    })
    this.#schedule()
    return ban
  }

  #durationOf(round: number): number {
    const { durationMs, maxDurationMs } = this.#rules
    return Math.max(durationMs, Math.min(maxDurationMs, durationMs * 2 ** Math.min(round, 30)))
  }

  #extend(entry: ActiveBan, now: number): void {
    const duration = this.#durationOf(entry.ban.round)
    // Ten detections a second need not be ten lines a second.
    this.#book.extend(entry, now + duration, Math.max(500, duration / 20))
  }

  #end(ban: Ban, endedBy: string, endReason: string, holdOffUntilUnixMs: number, removedBy = endedBy): Ban {
    this.#book.end(ban, { endedBy, removedBy, endReason, holdOffUntilUnixMs }, () => {
      // Carried out even when bans are in dry run now: what was announced must be withdrawn.
      if (!ban.dryRun) this.#actions.run('unban', ban, performance.now())
      logUnban(this.#log, ban)
    })
    return ban
  }

  /** The guard rails hold at every moment, not only when a ban is made. */
  #endForbidden(): void {
    for (const { ban, prefix } of this.#active.all()) {
      const objection = this.#permission.prefixObjection(prefix)
      if (objection) this.#end(ban, 'guard', objection.message, 0)
    }
  }

  get #active(): ActiveBans {
    return this.#book.active
  }

  get #past(): PastBans {
    return this.#book.past
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    if (!this.#running) return
    let next = LONGEST_TIMER_MS
    const now = this.#clock()
    for (const { ban } of this.#active.all()) next = Math.min(next, ban.untilUnixMs - now)
    if (this.#book.wantsCompaction) next = Math.min(next, 5000)
    this.#timer = setTimeout(() => this.tick(), Math.max(10, next))
    this.#timer.unref()
  }
}
