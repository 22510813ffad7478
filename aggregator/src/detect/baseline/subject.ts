// SPDX-License-Identifier: Apache-2.0
import type { Limits } from '../limits.js'
import type { Profiles } from './profiles.js'

/** What is learned about: one address, a hostgroup's addresses together, or everything. */
export type BaselineScope = 'host' | 'hostgroup' | 'total'

/** One target with what was learned of it and what may be made of that. */
export interface Subject {
  scope: BaselineScope
  /** The address, the hostgroup's name, or "total". */
  target: string
  hostgroup: string
  limits: Limits
  profiles: Profiles
  index: number
}
