// SPDX-License-Identifier: Apache-2.0
import type { Detection } from '../detect/detection.js'
import type { HostRates } from '../detect/sample.js'
import type { Direction } from '../detect/slots.js'
import type { Ban } from './ban.js'
import type { AttackLabel } from './outcome.js'

/** A person's wish. */
export interface AddBan {
  prefix: string
  direction: Direction
  /** 0 for the configured duration. */
  durationMs: number
  /** A level's name; empty for the strongest. */
  level?: string
  who: string
  /** As in Ban. */
  by?: string
  reason: string
  hostgroup: string
  rates: HostRates
}

/** What a ban says of why it was made. */
export type BanCause = Pick<
  Ban,
  | 'round'
  | 'direction'
  | 'metric'
  | 'threshold'
  | 'value'
  | 'rates'
  | 'averages'
  | 'hostgroup'
  | 'attackId'
  | 'attackType'
  | 'who'
  | 'by'
  | 'reason'
>

export function causeOf(detection: Detection, attack: AttackLabel): Omit<BanCause, 'round'> {
  const { scope, target, metric, threshold, value, direction, hostgroup, rates, averages } = detection
  const type = attack.type === '' ? '' : `${attack.type}: `
  const whose = scope === 'host' ? '' : ` of ${target}`
  return {
    direction,
    metric,
    threshold,
    value,
    rates,
    averages,
    hostgroup,
    who: 'detector',
    by: 'detector',
    attackId: attack.id,
    attackType: attack.type,
    reason: `${type}${metric}${whose} ${Math.round(value)} over ${Math.round(threshold)}`,
  }
}

export function manualCause({ direction, rates, hostgroup, who, by = '', reason }: AddBan): BanCause {
  return {
    direction,
    metric: 'manual',
    threshold: 0,
    value: 0,
    rates,
    averages: rates,
    hostgroup,
    round: 0,
    attackId: '',
    attackType: '',
    who: who || 'unknown',
    by,
    reason,
  }
}
