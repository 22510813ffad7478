// SPDX-License-Identifier: Apache-2.0
import type { Conf } from './conf-file.js'
import { changed, type Fate, ignored, irrelevant, missing, translated } from './finding.js'

/** A switch, the number behind it, and our metric. */
interface Measure {
  toggle: string
  threshold: string
  metric: string
  factor: number
  /** Only FastNetMon Advanced reads it. */
  advanced?: true
}

const MBPS = 1_000_000
const pair = (kind: string, ours: string, advanced = false): Measure[] => [
  {
    toggle: `ban_for_${kind}_pps`,
    threshold: `threshold_${kind}_pps`,
    metric: `${ours}_pps`,
    factor: 1,
    ...(advanced && { advanced }),
  },
  {
    toggle: `ban_for_${kind}_bandwidth`,
    threshold: `threshold_${kind}_mbps`,
    metric: `${ours}_bps`,
    factor: MBPS,
    ...(advanced && { advanced }),
  },
]

export const MEASURES: readonly Measure[] = [
  { toggle: 'ban_for_pps', threshold: 'threshold_pps', metric: 'pps', factor: 1 },
  { toggle: 'ban_for_bandwidth', threshold: 'threshold_mbps', metric: 'bps', factor: MBPS },
  { toggle: 'ban_for_flows', threshold: 'threshold_flows', metric: 'flows', factor: 1 },
  ...pair('tcp', 'tcp'),
  ...pair('udp', 'udp'),
  ...pair('icmp', 'icmp'),
  ...pair('tcp_syn', 'syn', true),
  ...pair('ip_fragments', 'fragment', true),
]

/** Keys that a hostgroup can have behind its name, too. */
export const BAN_KEYS: readonly string[] = [
  'enable_ban',
  'enable_ban_ipv6',
  ...MEASURES.flatMap(({ toggle, threshold }) => [toggle, threshold]),
]

/** By metric; what is not there is off. */
export type Thresholds = ReadonlyMap<string, number>

/** The thresholds in force for a key prefix: empty for all addresses, `NAME_` for a hostgroup. A hostgroup inherits nothing. */
export function readThresholds(conf: Conf, prefix: string): Thresholds {
  const found = new Map<string, number>()
  for (const { toggle, threshold, metric, factor } of MEASURES) {
    const value = conf.number(prefix + threshold, 0)
    if (!conf.isOn(prefix + toggle) || value === 0) continue
    if (metric === 'flows' && !countsFlows(conf)) continue
    found.set(metric, value * factor)
  }
  return found
}

/** What becomes of a ban_for_… or threshold_… key; `where` is the place in our file. */
export function thresholdFate(conf: Conf, prefix: string, key: string, where: string): Fate | undefined {
  const measure = MEASURES.find(({ toggle, threshold }) => key === toggle || key === threshold)
  if (!measure) return undefined
  const { toggle, threshold, metric, factor, advanced } = measure
  if (!conf.isOn(prefix + toggle)) {
    const word = conf.text(prefix + toggle)
    if (key === toggle && word !== 'off')
      return ignored(`FastNetMon takes anything but 'on' as off: no ${metric} threshold`)
    return irrelevant(`${prefix}${toggle} is not on: no ${metric} threshold`)
  }
  const value = conf.number(prefix + threshold, 0)
  if (value === 0) {
    return missing(`a threshold of 0 would ban every address at its first packet: no ${metric} threshold`)
  }
  if (metric === 'flows' && !countsFlows(conf)) {
    return ignored('without enable_connection_tracking FastNetMon counts no flows: no flows threshold')
  }
  const text = `${where}: ${metric} ${value * factor}`
  return advanced
    ? changed(`${text}; FastNetMon Community does not read this key, here it is in force`)
    : translated(text)
}

function countsFlows(conf: Conf): boolean {
  return conf.isOn('enable_connection_tracking', true)
}
