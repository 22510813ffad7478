// SPDX-License-Identifier: Apache-2.0
import type { LearnRule, Limit } from '../limits.js'
import type { Direction, Metric } from '../slots.js'
import { learnedThreshold, neededHours } from './in-force.js'
import { decodeRate, UNKNOWN } from './rate-code.js'
import type { BaselineScope, Subject } from './subject.js'
import { HOUR_MS, HOURS_PER_WEEK, hourOf, hourOfWeek, nameOfHour } from './week.js'

/** What was learned of one metric for now. */
export interface LearnedState {
  /** Whether the learned threshold is the one in force. */
  inForce: boolean
  /** Usual at this hour, per second; undefined before anything was learned. */
  usual: number | undefined
  multiple: number
  floor: number
  ceiling: number
  learnedHours: number
  neededHours: number
  /** `Tuesday 14:00 UTC`. */
  hour: string
}

export function learnedState(rule: LearnRule, subject: Subject | undefined, unixMs: number): LearnedState {
  const hour = hourOf(unixMs)
  const code = subject ? subject.profiles.usual(subject.index, rule.channel, hour) : UNKNOWN
  return {
    inForce:
      subject !== undefined && learnedThreshold(rule, subject.profiles, subject.index, hour) !== undefined,
    usual: code === UNKNOWN ? undefined : decodeRate(code),
    multiple: rule.multiple,
    floor: rule.floor,
    ceiling: rule.ceiling,
    learnedHours: subject?.profiles.learnedOf(subject.index, rule.channel) ?? 0,
    neededHours: rule.hours,
    hour: nameOfHour(hourOfWeek(hour)),
  }
}

export interface MetricReport extends LearnedState {
  direction: Direction
  metric: Metric
  /** In the configuration; undefined where there is none. */
  configured: number | undefined
  /** What the learned threshold is, in force or not yet; undefined before enough was learned. */
  threshold: number | undefined
  /** Usual in the busiest hour of the week, and which it is. */
  busiest: number | undefined
  busiestHour: string
  /** A configured threshold that would leave all that was learned alone; undefined before enough was. */
  suggested: number | undefined
  /** Usual by hour of the week, from Monday 00:00 UTC; undefined for an hour not learned. */
  week: (number | undefined)[]
}

export interface BaselineReport {
  scope: BaselineScope
  target: string
  hostgroup: string
  ready: boolean
  learnedHours: number
  neededHours: number
  /** The end of the last hour with traffic. */
  activeUnixMs: number
  metrics: MetricReport[]
}

export function reportOf(subject: Subject, unixMs: number): BaselineReport {
  const { scope, target, hostgroup, limits, profiles, index } = subject
  const { learned, needed, left } = neededHours(limits, profiles, index)
  return {
    scope,
    target,
    hostgroup,
    ready: left === 0,
    learnedHours: learned,
    neededHours: needed,
    activeUnixMs: Math.min(unixMs, ((profiles.active[index] as number) + 1) * HOUR_MS),
    metrics: limits.learns.map((k) => metricReport(limits.limits[k] as Limit, subject, unixMs)),
  }
}

function metricReport(
  { direction, metric, rate, learn }: Limit,
  subject: Subject,
  unixMs: number,
): MetricReport {
  const rule = learn as LearnRule
  const { profiles, index } = subject
  const at = profiles.weekOf(index, rule.channel)
  const codes = [...profiles.hours.subarray(at, at + HOURS_PER_WEEK)]
  const known = codes.filter((code) => code !== UNKNOWN)
  const most = Math.max(...known)
  const busiest = known.length === 0 ? undefined : decodeRate(most)
  const state = learnedState(rule, subject, unixMs)
  const enough = state.learnedHours >= state.neededHours
  return {
    ...state,
    direction,
    metric,
    configured: rate === Number.POSITIVE_INFINITY ? undefined : rate,
    threshold: learnedThreshold(rule, profiles, index, hourOf(unixMs)),
    busiest,
    busiestHour: known.length === 0 ? '' : nameOfHour(codes.indexOf(most)),
    suggested:
      enough && busiest !== undefined ? roundUp(Math.max(rule.floor, rule.multiple * busiest)) : undefined,
    week: codes.map((code) => (code === UNKNOWN ? undefined : decodeRate(code))),
  }
}

/** To two digits, upwards: 12 345 → 13 000. What float arithmetic adds is no reason to go up. */
export function roundUp(rate: number): number {
  if (rate <= 0) return 0
  const step = 10 ** (Math.floor(Math.log10(rate)) - 1)
  return Math.max(1, Math.round(Math.ceil(rate / step - 1e-6) * step))
}
