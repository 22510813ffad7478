// SPDX-License-Identifier: Apache-2.0
import { contains, FlowdamError, isIpv4, type Prefix, PrefixSet } from '@flowdam/common'

export interface GuardRules {
  /** What is ours: nothing else is ever banned. */
  networks: readonly Prefix[]
  /** Never banned, not even inside a wider prefix. */
  exempt: readonly Prefix[]
  /** Prefixes wider than /24 or /48 that may be banned when they are asked for by name. */
  wide: readonly Prefix[]
  /** Most prefixes dropped or blackholed at the same time. The detector's attempt to make one more trips the circuit breaker. */
  maxActive: number
  /** Most bans that the detector makes within a minute. */
  maxPerMinute: number
}

export type GuardReason =
  | 'outside_networks'
  | 'exempt'
  | 'too_wide'
  | 'max_active'
  | 'rate_limit'
  | 'paused'
  | 'tripped'

const CODES: Record<GuardReason, `FD_${string}`> = {
  outside_networks: 'FD_BAN_OUTSIDE_NETWORKS',
  exempt: 'FD_BAN_EXEMPT',
  too_wide: 'FD_BAN_TOO_WIDE',
  max_active: 'FD_BAN_MAX_ACTIVE',
  rate_limit: 'FD_BAN_RATE_LIMIT',
  paused: 'FD_BAN_PAUSED',
  tripped: 'FD_BAN_TRIPPED',
}

/** On 128 bits: an IPv4 /24 and an IPv6 /48, the shortest that the internet's routing accepts, too (RFC 7454 §6.1.3). */
const WIDEST_V4 = 96 + 24
const WIDEST_V6 = 48

export class GuardError extends FlowdamError {
  readonly reason: GuardReason

  constructor(reason: GuardReason, message: string) {
    super(CODES[reason], message)
    this.reason = reason
  }
}

/** The rules that no detector, person or configuration of a hostgroup can override. */
export class Guard {
  readonly #rules: GuardRules
  readonly #networks: PrefixSet
  readonly #exempt: PrefixSet

  constructor(rules: GuardRules) {
    this.#rules = rules
    this.#networks = new PrefixSet(rules.networks)
    this.#exempt = new PrefixSet(rules.exempt)
  }

  /** Why this prefix must not be banned, whoever asks; undefined when it may be. */
  prefixObjection(prefix: Prefix): GuardError | undefined {
    if (!this.#networks.covers(prefix)) {
      return new GuardError('outside_networks', `${prefix.text} is not inside 'networks'`)
    }
    const exempt = this.#rules.exempt.find((entry) => contains(entry, prefix) || contains(prefix, entry))
    if (exempt || this.#exempt.covers(prefix)) {
      return new GuardError('exempt', `${prefix.text} is or holds the exempt ${exempt?.text}`)
    }
    const v4 = prefix.length >= 96 && isIpv4(prefix.bytes)
    const tooWide = prefix.length < (v4 ? WIDEST_V4 : WIDEST_V6)
    if (tooWide && !this.#rules.wide.some((named) => named.text === prefix.text)) {
      return new GuardError(
        'too_wide',
        `${prefix.text} is wider than ${v4 ? '/24' : '/48'}; name it in ban.wide if it must be possible to ban it`,
      )
    }
    return undefined
  }

  /** Why one more prefix must not be stopped while so many are; undefined when it may be. */
  objection(prefix: Prefix, stops: number): GuardError | undefined {
    const objection = this.prefixObjection(prefix)
    if (objection || stops < this.#rules.maxActive) return objection
    return new GuardError(
      'max_active',
      `${stops} bans that drop or blackhole are in force and ban.max_active is ${this.#rules.maxActive}; remove one or raise it`,
    )
  }
}
