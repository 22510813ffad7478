// SPDX-License-Identifier: Apache-2.0
import type { Rung } from '../bans/levels.js'
import type { Scope } from '../detect/detection.js'
import type { Direction } from '../detect/slots.js'
import type { TrafficMix } from '../detect/traffic.js'
import type { AttackTraffic, AttackType } from './classify.js'
import type { AttackDetail } from './detail/detail.js'

export interface AttackRates {
  pps: number
  bps: number
  flows: number
}

/** One attack from onset to end. Times are milliseconds since 1970. */
export interface Attack {
  id: string
  scope: Scope
  /** The address, the prefix, the hostgroup's name, or "total". */
  target: string
  direction: Direction
  type: AttackType
  traffic: AttackTraffic
  hostgroup: string
  /** What fired first. */
  metric: string
  threshold: number
  /** The metric when it fired. */
  value: number
  /** The line of the configuration that fired; empty for a threshold that is learned. */
  rule: string
  /** In the attack's direction. */
  peak: AttackRates
  now: AttackRates
  /** Everything to the target while it lasted: samples of a second each, added up. */
  packets: number
  bytes: number
  startedUnixMs: number
  /** Last seen over a threshold. Behind a blackhole nothing is seen. */
  lastSeenUnixMs: number
  /** 0 while it lasts. */
  endedUnixMs: number
  /** Why it counts as over; empty while it lasts. */
  endReason: string
  /** Times that it came back after more than a second below every threshold. */
  bursts: number
  /** What it is made of: intervals over the threshold, added up. */
  mix: TrafficMix
  bans: string[]
  /** The highest level that they came to. */
  level?: Rung
  /** Out of the flow records; agents send them every few seconds. */
  detail?: AttackDetail
}
