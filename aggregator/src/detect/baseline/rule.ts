// SPDX-License-Identifier: Apache-2.0
import type { LearnRule, Thresholds } from '../limits.js'
import type { Direction, Metric } from '../slots.js'

/** What the configuration says about learned thresholds. What `floor` names is learned. */
export interface BaselineSource {
  factor?: number | undefined
  /** Milliseconds. */
  learn?: number | undefined
  direction?: Direction | 'both' | undefined
  floor?: Thresholds | undefined
  ceiling?: Thresholds | undefined
}

export const DEFAULT_FACTOR = 5
export const DEFAULT_LEARN_MS = 7 * 86_400_000

/** A direction and metric that some baseline is about. */
export interface Channel {
  direction: Direction
  metric: Metric
}

/** Each direction and metric that is learned anywhere gets a place of its own in every profile. */
export class Channels {
  readonly list: Channel[] = []

  indexOf(direction: Direction, metric: Metric): number {
    const known = this.list.findIndex((each) => each.direction === direction && each.metric === metric)
    return known >= 0 ? known : this.list.push({ direction, metric }) - 1
  }
}

/** One by one, as thresholds are; null turns off what is inherited. */
export function inheritBaseline(
  from: BaselineSource | null | undefined,
  own: BaselineSource | null | undefined,
): BaselineSource | null | undefined {
  if (own === null) return null
  if (own === undefined) return from
  return {
    ...from,
    ...own,
    floor: { ...from?.floor, ...own.floor },
    ceiling: { ...from?.ceiling, ...own.ceiling },
  }
}

/** Whether a baseline is about this direction. */
export function isAbout(baseline: BaselineSource, direction: Direction): boolean {
  const about = baseline.direction ?? 'incoming'
  return about === 'both' || about === direction
}

export function learnRule(
  baseline: BaselineSource | null | undefined,
  direction: Direction,
  metric: Metric,
  configured: number | null | undefined,
  channels: Channels,
): LearnRule | undefined {
  const floor = baseline?.floor?.[metric]
  if (!baseline || floor === undefined || floor === null || !isAbout(baseline, direction)) return undefined
  return {
    channel: channels.indexOf(direction, metric),
    multiple: baseline.factor ?? DEFAULT_FACTOR,
    floor,
    ceiling: baseline.ceiling?.[metric] ?? configured ?? Number.POSITIVE_INFINITY,
    hours: Math.ceil((baseline.learn ?? DEFAULT_LEARN_MS) / 3_600_000),
  }
}
