// SPDX-License-Identifier: Apache-2.0
import type { Pace } from '../told.js'

/** An epoch that is sent at export_rate waits for up to an interval; what waits longer than three is a backlog. */
const OLD_INTERVALS = 3
const OLD_MS = 10_000
const NEW_SHARE = 0.8

/**
 * Records a second that new flows may use. All of export_rate, unless there is an old backlog: in a flood new flows
 * would use it up for as long as the flood lasts, and what waits since an outage would wait as long. A fifth is then
 * the backlog's. What the log has no room for meanwhile is counted by destination, as with any export_rate.
 */
export function rateOfNewFlows(
  { export_interval, export_rate }: Pick<Pace, 'export_interval' | 'export_rate'>,
  uplink: { isBehind(ageMs: number): boolean } | undefined,
): number {
  const behind = uplink?.isBehind(Math.max(OLD_MS, OLD_INTERVALS * export_interval)) ?? false
  return behind ? export_rate * NEW_SHARE : export_rate
}
