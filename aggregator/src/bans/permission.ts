// SPDX-License-Identifier: Apache-2.0
import type { Prefix } from '@flowdam/common'
import type { ActiveBans } from './active.js'
import { Brake } from './brake.js'
import { Guard, GuardError, type GuardReason } from './guard.js'
import { isStopped, type LevelAction } from './levels.js'
import type { BanRules } from './rules.js'

/** Whether a ban may be made: the guard rails, which hold for everybody, and the brake, which stops the detector. */
export class Permission {
  readonly brake = new Brake()
  readonly refusals: Record<GuardReason, number> = {
    outside_networks: 0,
    exempt: 0,
    too_wide: 0,
    max_active: 0,
    rate_limit: 0,
    paused: 0,
    tripped: 0,
  }
  #rules: BanRules
  #guard: Guard

  constructor(rules: BanRules) {
    this.#rules = rules
    this.#guard = new Guard(rules)
  }

  reconfigure(rules: BanRules): void {
    this.#rules = rules
    this.#guard = new Guard(rules)
  }

  /** Why this prefix must not be banned, whoever asks. */
  prefixObjection(prefix: Prefix): GuardError | undefined {
    return this.#guard.prefixObjection(prefix)
  }

  /** Why a person must not have this done to a prefix while those bans are in force. */
  personObjection(prefix: Prefix, action: LevelAction, active: ActiveBans): GuardError | undefined {
    const own = active.of(prefix)
    // A ban that stops traffic already is counted: what routers do in place of the kernel makes it no other prefix.
    const isOneMore = action !== 'notify' && !(own && isStopped(own.ban))
    return isOneMore ? this.#guard.objection(prefix, active.stops) : this.#guard.prefixObjection(prefix)
  }

  /** The same for the detector. When the circuit breaker has tripped, people are still told. */
  detectorObjection(
    prefix: Prefix,
    action: LevelAction,
    active: ActiveBans,
    now: number,
  ): GuardError | undefined {
    const { state, who, reason } = this.brake.status
    const fixed = this.#guard.prefixObjection(prefix)
    if (fixed) return fixed
    if (state === 'paused' || (state === 'tripped' && action !== 'notify'))
      return new GuardError(state, `bans are ${state} (${who}: ${reason})`)
    const full = this.personObjection(prefix, action, active)
    if (full) return full
    const most = this.#rules.maxPerMinute
    if (!this.brake.tooFast(now, most)) return undefined
    return new GuardError(
      'rate_limit',
      `ban.max_per_minute is ${most}, and so many were made in the last minute`,
    )
  }

  /** Counts it. */
  refused({ reason }: GuardError): void {
    this.refusals[reason]++
  }
}
