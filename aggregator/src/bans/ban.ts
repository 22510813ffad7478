// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto'
import type { HostRates } from '../detect/sample.js'
import type { Direction } from '../detect/slots.js'
import type { LevelStep } from './levels.js'

export type HookAction = 'ban' | 'update' | 'unban'
export type HookResult = 'running' | 'ok' | 'failed' | 'timeout'

/** One attempt of one hook. */
export interface HookRun {
  hook: string
  action: HookAction
  startedUnixMs: number
  durationMs: number
  /** -1 when it could not be started or was ended by a signal. */
  exitCode: number
  result: HookResult
  /** The first 4 KiB of what it printed. */
  output: string
  /** From 1. */
  attempt: number
}

/** What the agents' kernels dropped for a ban. */
export interface Dropped {
  packets: number
  bytes: number
  /** Agents that have the rule in force. */
  agents: number
}

export const NOTHING_DROPPED: Dropped = { packets: 0, bytes: 0, agents: 0 }

/** One ban from decision to end; what the journal keeps and the API shows. Times are milliseconds since 1970. */
export interface Ban {
  id: string
  /** Canonical CIDR text. */
  prefix: string
  direction: Direction
  state: 'banned' | 'unbanned'
  /** What fired, or "manual". */
  metric: string
  threshold: number
  value: number
  /** The address's rates at the decision on the level in force, in both directions. */
  rates: HostRates
  /** The same averaged over the window. */
  averages: HostRates
  hostgroup: string
  /** Of the attack that it is about; empty for a ban by hand. */
  attackId: string
  attackType: string
  detectedUnixMs: number
  bannedUnixMs: number
  untilUnixMs: number
  /** When the attack was last seen over a threshold; 0 for a ban by hand that never saw one. */
  lastSeenUnixMs: number
  /** 0 while it is in force. */
  unbannedUnixMs: number
  who: string
  /** What the API knows of who made it, whatever `who` claims: `token:noc`, `local`, `detector`. */
  by?: string
  reason: string
  endedBy: string
  /** The same of who ended it. */
  removedBy?: string
  endReason: string
  /** After a person removed it: until then the detector leaves the prefix alone. */
  holdOffUntilUnixMs: number
  dryRun: boolean
  /** How many bans of this prefix before it ended while the attack was still on; its time doubles with each. */
  round: number
  /** The levels it reached, first to last; the last is in force. Never empty. */
  steps: LevelStep[]
  dropped: Dropped
  /** Every hook's unban action has come to an end. */
  settled: boolean
  hooks: HookRun[]
}

/** The rates that hooks and people see: of the ban's direction. */
export function banRates(ban: Ban): { pps: number; bps: number; flows: number } {
  const { all, flows } = ban.rates[ban.direction]
  return { pps: all.pps, bps: all.bps, flows }
}

/** Sortable by time, readable, unique: 20261122T045503.123-9f3a1c. */
export function newBanId(unixMs: number): string {
  const time = new Date(unixMs).toISOString().replaceAll(/[-:Z]/g, '')
  return `${time}-${randomBytes(3).toString('hex')}`
}
