// SPDX-License-Identifier: Apache-2.0
import { type ConfigIssue, contains } from '@flowdam/common'
import { type BaselineSource, inheritBaseline, isAbout } from '../detect/baseline/rule.js'
import type { DirectionSource } from '../detect/limits.js'
import { DIRECTIONS, METRICS } from '../detect/slots.js'
import type { AggregatorConfig } from './schema.js'

/** Where a floor, a ceiling and the configured thresholds leave nothing to be learned. */
export function checkBaselines({ thresholds, hostgroups }: AggregatorConfig): ConfigIssue[] {
  const issues: ConfigIssue[] = [
    ...checkOne(['thresholds', 'baseline'], thresholds.baseline, thresholds),
    ...checkOne(['thresholds', 'total', 'baseline'], thresholds.total?.baseline, thresholds.total ?? {}),
  ]
  for (const [index, group] of hostgroups.entries()) {
    const wider = hostgroups.filter(
      (other) =>
        other !== group &&
        other.prefixes.some((prefix) => group.prefixes.some((own) => contains(prefix, own))),
    )
    const from = [thresholds, ...wider]
    const inherited = from.map((source) => source.baseline).reduce(inheritBaseline, undefined)
    const path = ['hostgroups', index]
    if (group.baseline !== undefined) {
      const own = group.baseline === null ? null : inheritBaseline(inherited, group.baseline)
      // A floor that comes from elsewhere is complained about there.
      const configured = merged([...from, group])
      issues.push(...checkOne([...path, 'baseline'], own, configured, group.baseline ?? undefined))
    }
    issues.push(...checkOne([...path, 'total', 'baseline'], group.total?.baseline, group.total ?? {}))
  }
  return issues
}

function merged(sources: readonly DirectionSource[]): DirectionSource {
  return {
    incoming: Object.assign({}, ...sources.map(({ incoming }) => incoming)),
    outgoing: Object.assign({}, ...sources.map(({ outgoing }) => outgoing)),
  }
}

function checkOne(
  path: PropertyKey[],
  baseline: BaselineSource | null | undefined,
  configured: DirectionSource,
  written: BaselineSource | null | undefined = baseline,
): ConfigIssue[] {
  if (!baseline) return []
  const issues: ConfigIssue[] = []
  const { floor = {}, ceiling = {} } = baseline
  if (!METRICS.some((metric) => floor[metric] !== undefined)) {
    issues.push({
      path,
      message:
        "nothing would be learned: name each metric in 'floor' with the least that its threshold may become",
    })
  }
  for (const metric of METRICS) {
    const least = floor[metric]
    const most = ceiling[metric]
    if (typeof most === 'number' && typeof least !== 'number') {
      issues.push({
        path: [...path, 'ceiling', metric],
        message: `'${metric}' is not learned: it has no floor`,
      })
    }
    if (typeof least !== 'number') continue
    const where = [...path, written?.ceiling?.[metric] !== undefined ? 'ceiling' : 'floor', metric]
    if (typeof most === 'number') {
      if (most <= least)
        issues.push({ path: where, message: `a ceiling of ${most} is not above the floor of ${least}` })
      continue
    }
    for (const direction of DIRECTIONS) {
      const rate = configured[direction]?.[metric]
      if (!isAbout(baseline, direction) || typeof rate !== 'number' || rate > least) continue
      issues.push({
        path: where,
        message: `a floor of ${least} is not below the configured ${direction} threshold of ${rate}, which is the ceiling unless 'ceiling' names a higher one`,
      })
    }
  }
  return issues
}
