// SPDX-License-Identifier: Apache-2.0
import type { Prefix } from '@flowdam/common'
import type { Aggregate } from './cells.js'
import type { HostRates } from './sample.js'
import type { Direction, Metric } from './slots.js'
import type { TrafficMix } from './traffic.js'

/** One address, or many together: what a threshold is about. */
export type Scope = 'host' | Aggregate['scope']

/** An address's part of what an aggregate counts. */
export interface HostShare {
  address: Uint8Array
  text: string
  /** Of the metric that fired, averaged over the window, in the metric's unit. */
  rate: number
}

/** A threshold was exceeded. */
export interface Detection {
  scope: Scope
  /** For people: the address, the prefix, the hostgroup's name, or "total". */
  target: string
  /** The address (/32, /128) or prefix; undefined for a hostgroup and the total. */
  prefix: Prefix | undefined
  direction: Direction
  hostgroup: string
  metric: Metric
  /** Per second, in the metric's unit. */
  threshold: number
  /** What the metric is now, as in `rates`; always above the threshold. */
  value: number
  /** What the window holds over what it may hold; above 1. A burst of a few milliseconds weighs little in it. */
  times: number
  /** What the target does now: the larger of the last interval and the window, so that a young flood shows its size. */
  rates: HostRates
  /** Averages over the window. */
  averages: HostRates
  /** What the last interval is made of, in the detection's direction. */
  mix: TrafficMix
  /** For many addresses: those with most of the metric, largest first, without any that is over a threshold of its own. */
  hosts: readonly HostShare[]
  /** How much of the metric such addresses have together, averaged over the window. */
  shared: number
  /** performance.now() when the message that made it fire came in. */
  receivedAt: number
}
