// SPDX-License-Identifier: Apache-2.0
//
// Which line of aggregator.yaml a threshold comes from, for people. Cold.
import { contains, isIpv4, type Prefix, parsePrefix } from '@flowdam/common'
import type { DirectionSource } from '../detect/limits.js'
import type { DetectionSource, HostgroupSource, PolicySource } from '../detect/policies.js'
import type { Direction, Metric } from '../detect/slots.js'

const MAPPED_BITS = 96

/**
 * The configuration's path of the threshold that holds for `target`: an address, what is counted together as a prefix,
 * a hostgroup's name, or "total". The same inheritance as in PolicySet: by the longest prefix that says anything about
 * this metric. Empty where the configuration does not say `rate`, because it is learned.
 */
export function ruleOrigin(
  config: Pick<DetectionSource, 'thresholds' | 'hostgroups'>,
  target: string,
  direction: Direction,
  metric: Metric,
  rate: number,
): string {
  const says = (source: DirectionSource | undefined) => source?.[direction]?.[metric] === rate
  const mentions = (source: DirectionSource | undefined) => source?.[direction]?.[metric] !== undefined
  const line = `${direction}.${metric}`
  const group = config.hostgroups.find(({ name }) => name === target)
  if (group?.total) return says(group.total) ? `hostgroups[${target}].total.${line}` : ''
  if (target === 'total') return says(config.thresholds.total) ? `thresholds.total.${line}` : ''
  let prefix: Prefix
  try {
    prefix = parsePrefix(target)
  } catch {
    return ''
  }
  const carpet = target.includes('/') ? `${levelOf(prefix)}` : ''
  const own = (source: PolicySource) => (carpet ? source.carpet?.[carpet] : source)
  const path = carpet ? `carpet.${carpet}.${line}` : line
  const owner = around(config.hostgroups, prefix).find((hostgroup) => mentions(own(hostgroup)))
  if (owner) return says(own(owner)) ? `hostgroups[${owner.name}].${path}` : ''
  return says(own(config.thresholds)) ? `thresholds.${path}` : ''
}

/** Hostgroups that hold all of the prefix, by their longest such prefix. */
function around(hostgroups: readonly HostgroupSource[], prefix: Prefix): HostgroupSource[] {
  return hostgroups
    .flatMap((hostgroup) => hostgroup.prefixes.map((own) => ({ hostgroup, own })))
    .filter(({ own }) => contains(own, prefix))
    .sort((a, b) => b.own.length - a.own.length)
    .map(({ hostgroup }) => hostgroup)
}

function levelOf({ bytes, length }: Prefix): string {
  return isIpv4(bytes) ? `ipv4/${length - MAPPED_BITS}` : `ipv6/${length}`
}
