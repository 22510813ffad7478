// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { Rules } from '@flowdam/proto'
import type { AgentInfo } from '../contracts.js'
import type { Ban } from './ban.js'
import type { Bans } from './bans.js'
import { isDropped } from './levels.js'

export interface DropRulesOptions {
  bans: Bans
  /** Replaces the rules of all agents, and of those that connect later. */
  send: (rules: Rules) => void
  agents: () => readonly AgentInfo[]
  log: Logger
  /** Milliseconds since 1970. */
  clock?: () => number
}

const TICK_MS = 1000
/** The kernel forgets a rule at its end; ours are renewed long before. */
const RENEW_MS = 15_000
/** A rule outlives us by at least this, so that a restart opens no gap. */
const LEAST_TTL_S = 60

/** Has the agents drop what the bans in force say, and keeps count of what they dropped. */
export class DropRules {
  readonly #options: DropRulesOptions
  readonly #clock: () => number
  #unwatch: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #sentAt = 0
  #complained = false
  /** Prefixes that agents are to drop. */
  count = 0

  constructor(options: DropRulesOptions) {
    this.#options = options
    this.#clock = options.clock ?? Date.now
  }

  /** Sends the rules in any case: agents may hold some of a former process, which nobody wants any more. */
  start(): void {
    this.#unwatch = this.#options.bans.watch(({ event, ban }) => {
      if ((event === 'ban' || event === 'level' || event === 'unban') && isDropped(ban)) this.#send()
    })
    this.#send()
    this.#timer = setInterval(() => this.tick(), TICK_MS)
    this.#timer.unref()
  }

  stop(): void {
    this.#unwatch?.()
    clearInterval(this.#timer)
  }

  /** After a reload. */
  refresh(): void {
    this.#send()
  }

  /** Connected agents that apply rules. */
  get agents(): number {
    return this.#appliers().length
  }

  /** Renews rules and reads what they dropped; called by a timer. */
  tick(): void {
    if (this.count === 0) return
    if (this.#clock() - this.#sentAt >= RENEW_MS) this.#send()
    const appliers = this.#appliers()
    for (const ban of this.#dropping()) {
      const counts = appliers.flatMap(({ heartbeat }) =>
        (heartbeat?.dropped ?? []).filter(({ prefix }) => prefix === ban.prefix),
      )
      // An agent that is away for a moment has not taken back what it dropped.
      const packets = counts.reduce((sum, each) => sum + each.packets, 0)
      const bytes = counts.reduce((sum, each) => sum + each.bytes, 0)
      this.#options.bans.dropped(ban.id, {
        packets: Math.max(packets, ban.dropped.packets),
        bytes: Math.max(bytes, ban.dropped.bytes),
        agents: counts.length,
      })
    }
    this.#complain(appliers.length)
  }

  #appliers(): AgentInfo[] {
    return this.#options.agents().filter(({ connected, heartbeat }) => connected && heartbeat?.dropRules)
  }

  #dropping(): Ban[] {
    // Dry run sends none, and takes back those of bans that were made before it.
    const { bans } = this.#options
    return bans.rules.dryRun ? [] : bans.active().filter((ban) => isDropped(ban) && !ban.dryRun)
  }

  #send(): void {
    const now = this.#clock()
    const bans = this.#dropping()
    this.count = bans.length
    this.#sentAt = now
    this.#options.send({
      drop: bans.map(({ id, prefix, untilUnixMs }) => ({
        id,
        prefix,
        ttlS: Math.max(LEAST_TTL_S, Math.ceil((untilUnixMs - now) / 1000)),
      })),
    })
  }

  /** A level that drops where nobody does is a mistake that should not wait for the next attack to show. */
  #complain(appliers: number): void {
    const alone = appliers === 0 && this.#options.agents().some(({ connected }) => connected)
    if (alone && !this.#complained) {
      this.#options.log.error(
        { rules: this.count },
        'FD_DROP_NO_AGENT: packets should be dropped, and no agent has drop_rules: true',
      )
    }
    this.#complained = alone
  }
}
