// SPDX-License-Identifier: Apache-2.0
import type { Ban, HookAction } from './ban.js'
import type { HookNames } from './levels.js'

/** What carries bans out. Must return at once. */
export interface BanActions {
  /**
   * `decidedAt` is performance.now() of the decision; undefined for what is said again, which waits for what is new.
   * Those of `except` are left out.
   */
  run(action: HookAction, ban: Ban, decidedAt: number | undefined, hooks: HookNames, except?: HookNames): void
}
