// SPDX-License-Identifier: Apache-2.0
import type { BanRules } from '../bans/rules.js'
import { levelRulesOf } from './levels.js'
import type { AggregatorConfig } from './schema.js'

/** What the configuration says about bans. */
export function banRulesOf({ ban, networks, exempt, hostgroups }: AggregatorConfig): BanRules {
  return {
    networks,
    exempt,
    wide: ban.wide,
    maxActive: ban.max_active,
    maxPerMinute: ban.max_per_minute,
    carpet: ban.carpet,
    carpetHosts: ban.carpet_hosts,
    enabled: ban.enabled,
    levels: levelRulesOf({ ban, hostgroups }),
    durationMs: ban.duration,
    maxDurationMs: ban.max_duration,
    dryRun: ban.dry_run,
    holdOffMs: ban.hold_off,
  }
}
