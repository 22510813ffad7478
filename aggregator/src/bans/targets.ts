// SPDX-License-Identifier: Apache-2.0
import { formatPrefix, type Prefix } from '@flowdam/common'
import type { Detection } from '../detect/detection.js'

export interface CarpetRules {
  /** What is banned when many addresses together are over a threshold and no single one is. */
  carpet: 'prefix' | 'hosts'
  /** Most addresses that one detection bans. */
  carpetHosts: number
}

/** One address with more than this share of the traffic is the victim, whatever is spread around it. */
const DOMINANT = 0.5

/**
 * What a detection asks to have banned: the address; the prefix that is bombed, where a ban of it is `possible`; else as
 * many of the most-hit addresses as bring the rest below the threshold, `carpetHosts` at most.
 */
export function banTargets(
  detection: Detection,
  rules: CarpetRules,
  possible: (prefix: Prefix) => boolean,
): Prefix[] {
  const { scope, prefix, hosts, shared, threshold } = detection
  if (scope === 'host') return prefix ? [prefix] : []
  const dominated = (hosts[0]?.rate ?? 0) > shared * DOMINANT
  if (rules.carpet === 'prefix' && prefix && !dominated && possible(prefix)) return [prefix]
  const targets: Prefix[] = []
  let tooMuch = shared - threshold
  for (const { address, rate } of hosts) {
    if (tooMuch <= 0 || targets.length >= rules.carpetHosts) break
    const host = { bytes: address, length: 128, text: formatPrefix(address, 128) }
    if (!possible(host)) continue
    targets.push(host)
    tooMuch -= rate
  }
  return targets
}
