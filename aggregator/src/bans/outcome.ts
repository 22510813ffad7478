// SPDX-License-Identifier: Apache-2.0
import type { Ban } from './ban.js'
import type { GuardReason } from './guard.js'

/** The attack that a detection belongs to. */
export interface AttackLabel {
  id: string
  type: string
}

export const NO_ATTACK: AttackLabel = { id: '', type: '' }

/** What became of a detection. */
export type DetectionOutcome =
  | { outcome: 'banned' | 'climbed' | 'extended'; ban: Ban }
  | { outcome: 'disabled' }
  /** Over its threshold, and not enough for the lowest level. */
  | { outcome: 'below_levels' }
  | { outcome: 'held_off'; untilUnixMs: number }
  | { outcome: 'refused'; reason: GuardReason; message: string }
