// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, formatAddress, type Logger, parseAddress } from '@flowdam/common'
import type { Baseline, BaselineServiceServer } from '@flowdam/proto'
import type { AggregatorConfig } from '../config/schema.js'
import type { Baselines } from '../detect/baseline/baselines.js'
import { exportThresholds } from '../detect/baseline/export.js'
import type { BaselineReport } from '../detect/baseline/report.js'
import type { BaselineScope } from '../detect/baseline/subject.js'
import type { Detector } from '../detect/detector.js'
import { claimed } from './claim.js'
import { apiDirection } from './convert.js'
import { badField, inField } from './errors.js'
import { unary } from './status-error.js'

const DEFAULT_LIST = 100
const MOST_LIST = 10_000
const DEFAULT_EXPORT_HOSTS = 100
const SCOPES: readonly string[] = ['host', 'hostgroup', 'total'] satisfies BaselineScope[]

export function baselineService(
  baselines: Baselines,
  detector: Pick<Detector, 'acceptBaseline'>,
  config: () => AggregatorConfig,
  log: Logger,
): BaselineServiceServer {
  return {
    listBaselines: unary(log, ({ limit, hostgroup }) => {
      const wanted = [...baselines.reports()].filter(
        (each) => hostgroup === '' || each.hostgroup === hostgroup,
      )
      const hosts = wanted.filter(({ scope }) => scope === 'host').sort((a, b) => busiest(b) - busiest(a))
      const most = Math.min(limit || DEFAULT_LIST, MOST_LIST)
      return {
        baselines: [...wanted.filter(({ scope }) => scope !== 'host'), ...hosts.slice(0, most)].map(
          (report) => apiBaseline(report, false),
        ),
        addresses: baselines.size,
        enabled: baselines.learner !== undefined,
      }
    }),
    getBaseline: unary(log, (request) => {
      const { scope, target } = subjectOf(request)
      const report = baselines.report(scope, target)
      if (!report) throw unknown(baselines, scope, target)
      return { baseline: apiBaseline(report, true) }
    }),
    exportBaselines: unary(log, ({ hosts }) => {
      const ready = [...baselines.reports()].filter((report) => report.ready)
      if (ready.length === 0) {
        throw new FlowdamError(
          'FD_BASELINE_NOT_READY',
          'nothing was learned for long enough to suggest thresholds',
          {
            remedy:
              "'flowdam baseline' shows how far learning is; 'learn' in the configuration says how long it takes",
          },
        )
      }
      const { networks, hostgroups } = config()
      const yaml = exportThresholds({ networks, hostgroups }, ready, {
        mostHosts: hosts || DEFAULT_EXPORT_HOSTS,
        unixMs: baselines.wallClock(),
      })
      return { yaml, targets: ready.length }
    }),
    forgetBaseline: unary(log, (request, { metadata }) => {
      const { scope, target } = subjectOf(request)
      const { who, by } = claimed(request.who, metadata)
      if (!baselines.forget(scope, target)) throw unknown(baselines, scope, target)
      log.info({ scope, target, who, by }, 'baseline forgotten: it is learned anew')
      return {}
    }),
    acceptBaseline: unary(log, (request, { metadata }) => {
      const { scope, target } = subjectOf(request)
      const { who, by } = claimed(request.who, metadata)
      const raised = detector.acceptBaseline(scope, target, timesOf(request.times))
      const report = baselines.report(scope, target)
      if (raised === undefined || !report) throw unknown(baselines, scope, target)
      if (raised <= 1) {
        throw new FlowdamError(
          'FD_BASELINE_NOT_ABOVE',
          `what ${target} gets now is not above what is usual for it at this hour`,
          { remedy: 'ask while the traffic is there, or say how much more it will be (times)' },
        )
      }
      log.info({ scope, target, raised, who, by }, 'baseline raised: what comes now is no attack')
      void baselines.save()
      return { baseline: apiBaseline(report, false), raised }
    }),
  }
}

const MOST_TIMES = 1000

/** Undefined when it is to be measured. */
function timesOf(times: number): number | undefined {
  if (times === 0) return undefined
  if (times > 1 && times <= MOST_TIMES) return times
  throw badField('times', `times is ${times}; it is above 1 and at most ${MOST_TIMES}`)
}

function busiest({ metrics }: BaselineReport): number {
  return metrics[0]?.busiest ?? 0
}

function subjectOf({ scope, target }: { scope: string; target: string }): {
  scope: BaselineScope
  target: string
} {
  const kind = (scope || 'host') as BaselineScope
  if (!SCOPES.includes(kind)) {
    throw badField('scope', `scope is '${scope}'; known are ${SCOPES.join(', ')}`)
  }
  if (kind === 'total') return { scope: kind, target: 'total' }
  return {
    scope: kind,
    target: kind === 'host' ? formatAddress(inField('target', () => parseAddress(target))) : target,
  }
}

function unknown(baselines: Baselines, scope: BaselineScope, target: string): FlowdamError {
  const why = baselines.learner
    ? scope === 'host'
      ? 'it had too little traffic so far, or no baseline is configured for it'
      : "no hostgroup of this name has a baseline under 'total'"
    : 'the configuration has no baseline'
  return new FlowdamError('FD_BASELINE_UNKNOWN', `nothing was learned of ${target}: ${why}`)
}

function apiBaseline(report: BaselineReport, week: boolean): Baseline {
  return {
    scope: report.scope,
    target: report.target,
    hostgroup: report.hostgroup,
    ready: report.ready,
    learnedHours: report.learnedHours,
    neededHours: report.neededHours,
    activeUnixMs: report.activeUnixMs,
    metrics: report.metrics.map((metric) => ({
      direction: apiDirection(metric.direction),
      metric: metric.metric,
      threshold: metric.inForce ? metric.threshold : metric.configured,
      learned: metric.inForce,
      configured: metric.configured,
      usual: metric.usual,
      factor: metric.multiple,
      floor: metric.floor,
      ceiling: Number.isFinite(metric.ceiling) ? metric.ceiling : undefined,
      busiest: metric.busiest,
      busiestHour: metric.busiestHour,
      suggested: metric.suggested,
      week: week ? metric.week.map((rate) => rate ?? -1) : [],
    })),
  }
}
