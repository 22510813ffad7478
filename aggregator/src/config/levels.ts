// SPDX-License-Identifier: Apache-2.0
import type { ConfigIssue } from '@flowdam/common'
import { isAbove, type Level, type LevelRules, NO_LEVELS } from '../bans/levels.js'
import type { AggregatorConfig } from './schema.js'

type LevelTable = AggregatorConfig['ban']['levels']
type Source = Pick<AggregatorConfig, 'ban' | 'hostgroups'>

/** How long nothing may be seen before a ban ends that is no blackhole, unless its level says otherwise. */
const QUIET_MS = 60_000

/** What the configuration says about levels; without any, a ban is a blackhole with every hook. */
export function levelRulesOf({ ban, hostgroups }: Source): LevelRules {
  const own = hostgroups.flatMap(({ name, ban: theirs }) =>
    theirs && Object.keys(theirs.levels).length > 0
      ? [[name, compile(merge(ban.levels, theirs.levels))] as const]
      : [],
  )
  const isConfigured = Object.keys(ban.levels).length > 0
  return {
    default: isConfigured ? compile(ban.levels) : NO_LEVELS.default,
    hostgroups: new Map(own),
  }
}

/** How the levels fit together and to the hooks. */
export function checkLevels(config: Source & Pick<AggregatorConfig, 'hooks'>): ConfigIssue[] {
  const { ban, hostgroups, hooks } = config
  const known = new Set(hooks.map(({ name }) => name))
  const issues = checkTable(ban.levels, {}, known, ['ban', 'levels'])
  for (const [index, { ban: theirs }] of hostgroups.entries()) {
    const path = ['hostgroups', index, 'ban', 'levels']
    if (theirs) issues.push(...checkTable(theirs.levels, ban.levels, known, path))
  }
  if (Object.keys(ban.levels).length === 0) return issues
  const tables = [ban.levels, ...hostgroups.map(({ ban: theirs }) => theirs?.levels ?? {})]
  const used = new Set(tables.flatMap((table) => Object.values(table).flatMap((level) => level?.hooks ?? [])))
  for (const [index, { name }] of hooks.entries()) {
    if (used.has(name)) continue
    issues.push({ path: ['hooks', index, 'name'], message: `no level names '${name}': it would never run` })
  }
  return issues
}

function checkTable(
  table: LevelTable,
  inherited: LevelTable,
  hooks: ReadonlySet<string>,
  path: ConfigIssue['path'],
): ConfigIssue[] {
  const issues: ConfigIssue[] = []
  const merged = merge(inherited, table)
  for (const [name, level] of Object.entries(table)) {
    const complain = (message: string, key?: string) =>
      issues.push({ path: key === undefined ? [...path, name] : [...path, name, key], message })
    if (level === null) {
      if (path[0] === 'hostgroups' && !(name in inherited))
        complain(`there is no level '${name}' to turn off`)
      continue
    }
    const { at, action, hooks: named, quiet } = merged[name] ?? {}
    if (at === undefined || action === undefined) complain("a level needs 'at' and 'action'")
    if (action !== undefined && action !== 'drop' && (named ?? []).length === 0)
      complain(`without 'hooks' a level that is to ${action} does nothing`)
    if (action === 'blackhole' && quiet !== undefined)
      complain("nothing is seen behind a blackhole; its time is 'ban.duration'", 'quiet')
    for (const hook of level.hooks ?? []) {
      if (!hooks.has(hook)) complain(`there is no hook '${hook}'`, 'hooks')
    }
  }
  const ladder = compile(merged)
  for (const [index, level] of ladder.entries()) {
    const below = ladder[index - 1]
    if (!below || isAbove(level, below)) continue
    const where = level.name in table ? level.name : below.name
    issues.push({
      path: [...path, where],
      message:
        level.at === below.at
          ? `'${below.name}' and '${level.name}' are both at ${level.at}`
          : `'${level.name}' at ${level.at} does less than '${below.name}' at ${below.at}: it would never be reached`,
    })
  }
  return issues
}

function merge(inherited: LevelTable, own: LevelTable): LevelTable {
  const names = new Set([...Object.keys(inherited), ...Object.keys(own)])
  return Object.fromEntries(
    [...names].map((name) => {
      const change = own[name]
      if (change === undefined) return [name, inherited[name] ?? null]
      return [name, change && { ...inherited[name], ...change }]
    }),
  )
}

/** Lowest first, without those that are off. */
function compile(table: LevelTable): Level[] {
  return Object.entries(table)
    .flatMap(([name, level]): Level[] => {
      const { at, action, hooks = [], quiet = QUIET_MS } = level ?? {}
      return at === undefined || action === undefined ? [] : [{ name, at, action, hooks, quietMs: quiet }]
    })
    .sort((a, b) => a.at - b.at)
}
