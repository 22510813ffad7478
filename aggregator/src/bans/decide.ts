// SPDX-License-Identifier: Apache-2.0
import { describeError, type Logger, type Prefix } from '@flowdam/common'
import type { Detection } from '../detect/detection.js'
import type { ActiveBan } from './active.js'
import type { BanBook } from './book.js'
import { causeOf } from './cause.js'
import type { Force } from './force.js'
import { isAbove, type Level, levelOf, levelsOf, reachedLevels } from './levels.js'
import { DetectionLog } from './log.js'
import type { AttackLabel, DetectionOutcome } from './outcome.js'
import type { Permission } from './permission.js'
import type { BanRules } from './rules.js'
import { banTargets } from './targets.js'

export interface DecisionsOptions {
  book: BanBook
  permission: Permission
  force: Force
  rules: () => BanRules
  clock: () => number
  log: Logger
  /** The detector wanted more than ban.max_active. */
  trip: () => void
}

/** What becomes of a detection: a new ban, a further level for one, or one that lasts longer. */
export class Decisions {
  readonly #options: DecisionsOptions
  readonly #log: DetectionLog

  constructor(options: DecisionsOptions) {
    this.#options = options
    this.#log = new DetectionLog(options.log)
  }

  /** One outcome for each prefix to be banned. */
  detected(detection: Detection, attack: AttackLabel): DetectionOutcome[] {
    const { book, permission, rules, clock } = this.#options
    const targets = banTargets(
      detection,
      rules(),
      (prefix) =>
        book.active.covering(prefix).length > 0 ||
        (permission.prefixObjection(prefix) === undefined && book.past.heldOffUntil(prefix, clock()) === 0),
    )
    if (targets.length === 0) {
      const message = 'attack detected; no address or prefix of it may be banned'
      this.#log.warn(detection.target, message, detection, clock())
    }
    return targets.map((prefix) => this.#decide(prefix, detection, attack))
  }

  #decide(prefix: Prefix, detection: Detection, attack: AttackLabel): DetectionOutcome {
    const { book, rules, force } = this.#options
    const reached = reachedLevels(levelsOf(rules().levels, detection.hostgroup), detection.times)
    const top = reached.at(-1)
    const covering = book.active.covering(prefix)
    // A wider ban counts when it does as much: one that only tells people must not shield an address in it.
    const enough = covering.find(({ ban }) => !top || !isAbove(top, levelOf(ban)))
    if (enough) return this.#extended(enough)
    if (!top) return { outcome: 'below_levels' }
    const own = book.active.of(prefix)
    const outcome = this.#ascend(prefix, own, reached, detection, attack)
    if (!own || outcome.outcome === 'climbed') return outcome
    force.extend(own)
    return { outcome: 'extended', ban: own.ban }
  }

  #extended(entry: ActiveBan): DetectionOutcome {
    this.#options.force.extend(entry)
    return { outcome: 'extended', ban: entry.ban }
  }

  /** Makes a ban at the highest level that may be, or brings `own` there. */
  #ascend(
    prefix: Prefix,
    own: ActiveBan | undefined,
    reached: readonly Level[],
    detection: Detection,
    attack: AttackLabel,
  ): DetectionOutcome {
    const { book, permission, force, rules, clock } = this.#options
    const now = clock()
    if (!rules().enabled) {
      this.#log.warn(prefix.text, 'attack detected; ban.enabled is false', detection, now)
      return { outcome: 'disabled' }
    }
    // A ban that was made for real goes no further while everything is to be dry.
    if (own && !own.ban.dryRun && rules().dryRun) return { outcome: 'disabled' }
    const heldUntil = own ? 0 : book.past.heldOffUntil(prefix, now)
    if (heldUntil > 0) return { outcome: 'held_off', untilUnixMs: heldUntil }
    const above = reached.filter((level) => isAbove(level, own && levelOf(own.ban)))
    const refusal = this.#refusal(prefix, above, detection, now)
    const levels = refusal ? above.filter(({ action }) => action === 'notify') : above
    const still = levels.length > 0 && (!refusal || !this.#objection(prefix, levels, now))
    if (refusal && !still) return refusal
    permission.brake.made(now)
    const ascent = { levels, who: 'detector' }
    const cause = causeOf(detection, attack)
    if (own) {
      force.climb(own, { ...cause, round: own.ban.round }, ascent, detection.receivedAt)
      return { outcome: 'climbed', ban: own.ban }
    }
    const round = book.past.roundOf(prefix, now)
    const ban = force.make(prefix, { ...cause, round }, ascent, detection.receivedAt)
    return { outcome: 'banned', ban }
  }

  #refusal(
    prefix: Prefix,
    levels: readonly Level[],
    detection: Detection,
    now: number,
  ): DetectionOutcome | undefined {
    const objection = this.#objection(prefix, levels, now)
    if (!objection) return undefined
    const { reason, message } = objection
    this.#options.permission.refused(objection)
    const line = `attack detected, not banned: ${describeError(objection)}`
    this.#log.warn(prefix.text, line, detection, now)
    if (reason === 'max_active') this.#options.trip()
    return { outcome: 'refused', reason, message }
  }

  #objection(prefix: Prefix, levels: readonly Level[], now: number) {
    const { book, permission } = this.#options
    const action = levels.at(-1)?.action ?? 'notify'
    return permission.detectorObjection(prefix, action, book.active, now)
  }
}
