// SPDX-License-Identifier: Apache-2.0
import type { GuardRules } from './guard.js'
import type { LevelRules } from './levels.js'
import type { CarpetRules } from './targets.js'

/** What the configuration says about bans. */
export interface BanRules extends GuardRules, CarpetRules {
  enabled: boolean
  levels: LevelRules
  durationMs: number
  /** What repeated bans of the same attack may grow to; no back-off where it is not above durationMs. */
  maxDurationMs: number
  dryRun: boolean
  /** After a person removed a ban, the detector leaves the prefix alone for this long. */
  holdOffMs: number
}
