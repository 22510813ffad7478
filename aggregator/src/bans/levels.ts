// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from '@flowdam/common'
import type { Ban } from './ban.js'

/** What a level does, weakest first: tell people, drop in the kernel at the agents, have routers drop it upstream. */
export const LEVEL_ACTIONS = ['notify', 'drop', 'blackhole'] as const
export type LevelAction = (typeof LEVEL_ACTIONS)[number]

/** Names of hooks, or every hook that is configured. */
export type HookNames = readonly string[] | 'all'

export interface Level {
  /** Empty where no levels are configured: bans then have one, which is a blackhole. */
  name: string
  /** Reached when the metric is this many times its threshold. */
  at: number
  action: LevelAction
  hooks: HookNames
  /** Below a blackhole an attack is seen: the ban ends after so long without one. Of no meaning for a blackhole. */
  quietMs: number
}

/** A ban's arrival at a level; what it found and what it set in motion. */
export interface LevelStep extends Level {
  atUnixMs: number
  /** Who decided it. */
  who: string
  metric: string
  threshold: number
  value: number
  /** Packets are dropped at the agents from here on. */
  drops: boolean
}

/** Lowest first. */
export interface LevelRules {
  default: readonly Level[]
  /** Where a hostgroup says otherwise, by its name. */
  hostgroups: ReadonlyMap<string, readonly Level[]>
}

export const ONE_LEVEL: Level = { name: '', at: 1, action: 'blackhole', hooks: 'all', quietMs: 0 }

export const NO_LEVELS: LevelRules = { default: [ONE_LEVEL], hostgroups: new Map() }

export function levelsOf(rules: LevelRules, hostgroup: string): readonly Level[] {
  return rules.hostgroups.get(hostgroup) ?? rules.default
}

const rank = (action: LevelAction) => LEVEL_ACTIONS.indexOf(action)

/** Those that this many times the threshold reaches, lowest first. */
export function reachedLevels(levels: readonly Level[], times: number): readonly Level[] {
  return levels.filter(({ at }) => at <= times)
}

/** What levels are compared by. */
export type Rung = Pick<Level, 'name' | 'at' | 'action'>

/** Whether a ban that is at `from` would climb to `level`. A reload may have changed what is in between. */
export function isAbove(level: Rung, from: Rung | undefined): boolean {
  if (!from) return true
  const more = rank(level.action) - rank(from.action)
  return more > 0 || (more === 0 && level.at > from.at && level.name !== from.name)
}

/** The level in force. */
export function levelOf(ban: Ban): LevelStep {
  // Every ban begins with a step.
  return ban.steps.at(-1) as LevelStep
}

export function isBlackholed(ban: Ban): boolean {
  return levelOf(ban).action === 'blackhole'
}

/** Whether its traffic is stopped, in the kernel or upstream; a ban that only tells people stops nothing. */
export function isStopped(ban: Ban): boolean {
  return levelOf(ban).action !== 'notify'
}

/** Whether agents drop it. */
export function isDropped(ban: Ban): boolean {
  return ban.steps.some(({ drops }) => drops)
}

/** Every hook that was told of this ban. */
export function hooksTold(ban: Ban): HookNames {
  return union(ban.steps)
}

/** Those of `names` that are among `some`. */
export function amongNames(names: HookNames, some: HookNames): HookNames {
  if (some === 'all') return names
  return some.filter((name) => isTold(names, name))
}

/** What is new at `levels`, all taken at once: a flood that is there at full size skips none of them. */
export function hooksOfLevels(levels: readonly Level[]): HookNames {
  return union(levels)
}

function union(levels: readonly Level[]): HookNames {
  const names = new Set<string>()
  for (const { hooks } of levels) {
    if (hooks === 'all') return 'all'
    for (const hook of hooks) names.add(hook)
  }
  return [...names]
}

export function isTold(names: HookNames, hook: string): boolean {
  return names === 'all' || names.includes(hook)
}

/** Of several bans, oldest first, the one that does most. */
export function strongest<T extends { ban: Ban }>(entries: readonly T[]): T | undefined {
  return entries.reduce<T | undefined>(
    (best, each) => (best && !isAbove(levelOf(each.ban), levelOf(best.ban)) ? best : each),
    undefined,
  )
}

/** The levels up to one of this name, or all for an empty name. Throws FD_BAN_LEVEL_UNKNOWN. */
export function levelsUpTo(levels: readonly Level[], name: string): readonly Level[] {
  const at = name === '' ? levels.length - 1 : levels.findIndex((level) => level.name === name)
  if (at >= 0) return levels.slice(0, at + 1)
  const known = levels.map((level) => level.name).join(', ')
  throw new FlowdamError(
    'FD_BAN_LEVEL_UNKNOWN',
    known === ''
      ? 'no level is configured for this prefix'
      : `no level is called '${name}'; there are ${known}`,
  )
}
