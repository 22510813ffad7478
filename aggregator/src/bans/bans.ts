// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, type Logger, type Prefix, parsePrefix } from '@flowdam/common'
import type { Detection } from '../detect/detection.js'
import type { BanActions } from './actions.js'
import type { ActiveBans } from './active.js'
import type { Ban, Dropped, HookRun } from './ban.js'
import { BanBook } from './book.js'
import type { BrakeStatus } from './brake.js'
import { type AddBan, manualCause } from './cause.js'
import { Decisions } from './decide.js'
import type { BanEvent } from './events.js'
import { Force } from './force.js'
import type { GuardError } from './guard.js'
import type { Journal } from './journal.js'
import {
  amongNames,
  type HookNames,
  hooksTold,
  type LevelAction,
  levelsOf,
  levelsUpTo,
  strongest,
} from './levels.js'
import { type AttackLabel, type DetectionOutcome, NO_ATTACK } from './outcome.js'
import type { PastBans } from './past.js'
import { Permission } from './permission.js'
import type { BanRules } from './rules.js'

export interface BansOptions {
  rules: BanRules
  journal: Journal
  actions: BanActions
  log: Logger
  /** Milliseconds since 1970. */
  clock?: () => number
  /** Whether an attack would be seen now. Default: always. */
  watched?: () => boolean
}

const LONGEST_TIMER_MS = 3_600_000

/**
 * Bans from decision to end: banned → extended while the attack lasts, at a further level
 * when it grows → unbanned. One ban for a prefix at a time.
 * Every change is in the journal before it has any effect outside.
 */
export class Bans {
  readonly #actions: BanActions
  readonly #log: Logger
  readonly #clock: () => number
  readonly #watched: () => boolean
  #rules: BanRules
  readonly #permission: Permission
  readonly #book: BanBook
  readonly #force: Force
  readonly #decisions: Decisions
  #timer: NodeJS.Timeout | undefined
  #running = false

  constructor(options: BansOptions) {
    this.#rules = options.rules
    this.#permission = new Permission(options.rules)
    this.#actions = options.actions
    this.#log = options.log
    this.#watched = options.watched ?? (() => true)
    const clock = options.clock ?? Date.now
    this.#clock = clock
    const { log, actions } = options
    const permission = this.#permission
    const rules = () => this.#rules
    const book = new BanBook(options.journal, permission.brake, clock, options.log)
    const force = new Force({ book, actions, log, clock, rules })
    this.#book = book
    this.#force = force
    const trip = () => this.#trip()
    this.#decisions = new Decisions({ book, permission, force, rules, clock, log, trip })
  }

  /** Takes up what the journal says, and has it carried out again: a speaker may have forgotten, or never been told. */
  start(): void {
    this.#book.open()
    this.#running = true
    const { brake } = this.#permission
    if (brake.engaged) this.#log.error({ ...brake.status }, 'the detector bans nothing')
    this.#withdrawAgain(this.notWithdrawn(), 'all')
    this.#endForbidden()
    if (!this.#rules.dryRun) this.#endRehearsals()
    this.tick()
    for (const { ban } of this.#active.all()) {
      this.#log.info({ ban: ban.id, prefix: ban.prefix, dryRun: ban.dryRun }, 'ban taken up from the journal')
    }
    if (!this.#rules.dryRun) this.#announceAgain('all')
  }

  stop(): void {
    this.#running = false
    clearTimeout(this.#timer)
    this.#book.close()
  }

  get rules(): BanRules {
    return this.#rules
  }

  /**
   * Other rules from now on. Bans that they forbid end. `freshHooks` are new or do something else than before: they are
   * told of what is in force, as at a start.
   */
  reconfigure(rules: BanRules, freshHooks: readonly string[] = []): void {
    const rehearsed = this.#rules.dryRun
    const notWithdrawn = this.notWithdrawn()
    this.#rules = rules
    this.#permission.reconfigure(rules)
    this.#endForbidden()
    this.#withdrawAgain(notWithdrawn, freshHooks)
    if (rules.dryRun) return
    if (rehearsed) this.#endRehearsals()
    // One that began in dry run did not announce what the journal had.
    this.#announceAgain(rehearsed ? 'all' : freshHooks)
  }

  /** Ended bans that some hook has not confirmed to have withdrawn. */
  notWithdrawn(): Ban[] {
    return this.#past.all().filter(({ settled, dryRun }) => !settled && !dryRun)
  }

  /** A threshold is exceeded: bans, extends the ban that covers it, or brings it to a further level. */
  detected(detection: Detection, attack: AttackLabel = NO_ATTACK): DetectionOutcome[] {
    const outcomes = this.#decisions.detected(detection, attack)
    if (outcomes.some(({ outcome }) => outcome === 'banned')) this.#schedule()
    return outcomes
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
        const how = { endedBy: who || 'unknown', removedBy: by, endReason: reason || 'bans were paused' }
        this.#force.end(ban, { ...how, holdOffUntilUnixMs: 0 })
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
    const levels = levelsUpTo(levelsOf(this.#rules.levels, request.hostgroup), request.level ?? '')
    const action = levels.at(-1)?.action ?? 'blackhole'
    const objection = this.#permission.personObjection(prefix, action, this.#active)
    if (objection) {
      this.#permission.refused(objection)
      throw objection
    }
    this.#past.endHoldOff(prefix.text)
    const cause = manualCause(request)
    const durationMs = request.durationMs || this.#rules.durationMs
    const ban = this.#force.make(prefix, cause, { levels, who: cause.who }, performance.now(), durationMs)
    this.#schedule()
    return ban
  }

  /** Ends a ban by address, prefix or id. Throws FD_BAN_UNKNOWN. */
  remove(target: string, who: string, reason: string, by = ''): Ban {
    const entry = this.#active.find(target)
    if (!entry) throw new FlowdamError('FD_BAN_UNKNOWN', `nothing is banned as '${target}'`)
    const holdOff = this.#rules.holdOffMs > 0 ? this.#clock() + this.#rules.holdOffMs : 0
    const how = { endedBy: who || 'unknown', removedBy: by, endReason: reason || 'removed by hand' }
    return this.#force.end(entry.ban, { ...how, holdOffUntilUnixMs: holdOff })
  }

  /** Ends what is due; called by a timer. */
  tick(): void {
    const now = this.#clock()
    for (const entry of this.#active.all()) {
      if (entry.ban.untilUnixMs > now) continue
      if (!this.#watched() && this.#force.extendBlindly(entry)) continue
      this.#end(entry.ban, 'detector', 'its time is over')
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

  /** What the agents dropped for a ban in force. */
  dropped(id: string, dropped: Dropped): void {
    this.#book.dropped(id, dropped)
  }

  get made(): number {
    return this.#force.made
  }

  get extended(): number {
    return this.#book.extended
  }

  /** Arrivals at a level, by its name. */
  get steps(): ReadonlyMap<string, number> {
    return this.#force.steps
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

  /** The ban in force that covers an address, the strongest if there are several. */
  covering(address: Uint8Array): Ban | undefined {
    return strongest(this.#active.covering({ bytes: address, length: 128, text: '' }))?.ban
  }

  /** Until when the detector leaves this prefix alone; 0 when it does not. */
  heldOffUntil(prefixText: string): number {
    return this.#past.heldOffUntil(parsePrefix(prefixText), this.#clock())
  }

  /** Why the detector could not ban this prefix now; undefined when it could. */
  objection(prefix: Prefix, action: LevelAction): GuardError | undefined {
    return this.#permission.detectorObjection(prefix, action, this.#active, this.#clock())
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
  #trip(): void {
    this.#setBrake({
      state: 'tripped',
      sinceUnixMs: this.#clock(),
      who: 'detector',
      reason: `ban.max_active (${this.#rules.maxActive}) is reached; look at the bans, then 'flowdam bans resume'`,
    })
  }

  #end(ban: Ban, endedBy: string, endReason: string): void {
    this.#force.end(ban, { endedBy, removedBy: endedBy, endReason, holdOffUntilUnixMs: 0 })
  }

  /** The guard rails hold at every moment, not only when a ban is made. */
  #endForbidden(): void {
    for (const { ban, prefix } of this.#active.all()) {
      const objection = this.#permission.prefixObjection(prefix)
      if (objection) this.#end(ban, 'guard', objection.message)
    }
  }

  /**
   * A ban that no hook was told of must not stand for a real one: an attack that goes on would extend it without end, and
   * never be blackholed. Where it does go on, the next detection bans for real.
   */
  #endRehearsals(): void {
    for (const { ban } of this.#active.all()) {
      if (ban.dryRun) this.#end(ban, 'guard', 'the dry run is over')
    }
  }

  /** A speaker may have forgotten, or never been told. */
  #announceAgain(some: HookNames): void {
    for (const { ban } of this.#active.all()) {
      const hooks = amongNames(hooksTold(ban), some)
      if (!ban.dryRun && hooks.length > 0) this.#actions.run('ban', ban, undefined, hooks)
    }
  }

  /**
   * Withdrawn already in memory of the journal, perhaps not at the router. Where it is banned again since, only by hooks
   * that the new ban has told nothing: it may be at a lower level, or dry.
   */
  #withdrawAgain(bans: readonly Ban[], some: HookNames): void {
    for (const ban of bans) {
      const again = this.#active.of(parsePrefix(ban.prefix))?.ban
      const except = again && !again.dryRun ? hooksTold(again) : []
      const hooks = amongNames(hooksTold(ban), some)
      if (some === 'all' || hooks.length > 0) this.#actions.run('unban', ban, undefined, hooks, except)
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
