// SPDX-License-Identifier: Apache-2.0
import type { Prefix } from '@flowdam/common'
import { stringify } from 'yaml'
import type { BaselineReport } from './report.js'

export interface ExportSource {
  networks: readonly Prefix[]
  hostgroups: readonly { name: string; prefixes: readonly Prefix[] }[]
}

export interface ExportOptions {
  /** Most addresses with a hostgroup of their own. */
  mostHosts: number
  unixMs: number
}

/** Thresholds by direction, then metric. */
type Suggested = Record<string, Record<string, number>>

/** An address that has more than this share of its hostgroup's gets thresholds of its own. */
const MOST_SHARE = 0.95

/**
 * What was learned, as configured thresholds: a file that --check accepts. Each hostgroup gets what all of its addresses
 * need, except for the few with much more than the others, which become hostgroups of their own.
 */
export function exportThresholds(
  { networks, hostgroups }: ExportSource,
  reports: readonly BaselineReport[],
  { mostHosts, unixMs }: ExportOptions,
): string {
  const hosts = reports.filter(({ scope }) => scope === 'host')
  const total = (scope: string, name: string) => {
    const found = reports.find((report) => report.scope === scope && report.target === name)
    return found ? { total: written(suggestedOf(found)) } : {}
  }
  const single: { name: string; prefixes: string[] }[] = []
  const own = (name: string) => {
    const members = hosts.filter(({ hostgroup }) => hostgroup === name)
    const { together, apart } = split(members, Math.max(0, mostHosts - single.length))
    for (const report of apart) {
      const length = report.target.includes(':') ? 128 : 32
      single.push({
        name: `host-${report.target.replaceAll(':', '-')}`,
        prefixes: [`${report.target}/${length}`],
        ...written(suggestedOf(report)),
      })
    }
    return written(together)
  }
  const defaults = { ...own(''), ...total('total', 'total') }
  const groups = hostgroups
    .map(({ name, prefixes }) => ({
      name,
      prefixes: prefixes.map(({ text }) => text),
      ...own(name),
      ...total('hostgroup', name),
    }))
    .filter((group) => Object.keys(group).length > 2)
  const document = {
    networks: networks.map(({ text }) => text),
    ...(Object.keys(defaults).length > 0 ? { thresholds: defaults } : {}),
    ...(groups.length + single.length > 0 ? { hostgroups: [...groups, ...single] } : {}),
  }
  return `# Suggested thresholds, learned until ${new Date(unixMs).toISOString()} from ${hosts.length} addresses.
# Each is above everything that was usual in any hour of the week. Look at them before you use them.
${stringify(document)}`
}

function suggestedOf({ metrics }: BaselineReport): Suggested {
  const all: Suggested = {}
  for (const { direction, metric, suggested } of metrics) {
    if (suggested === undefined) continue
    all[direction] = { ...all[direction], [metric]: suggested }
  }
  return all
}

/** What is enough for all but those that need much more than most. */
function split(
  members: readonly BaselineReport[],
  most: number,
): { together: Suggested; apart: BaselineReport[] } {
  const usual: Suggested = {}
  const needs = members.map((report) => ({ report, suggested: suggestedOf(report) }))
  for (const [direction, metric] of keysOf(needs.map(({ suggested }) => suggested))) {
    const sorted = needs.map(({ suggested }) => suggested[direction]?.[metric] ?? 0).sort((a, b) => a - b)
    const at = Math.max(0, Math.ceil(sorted.length * MOST_SHARE) - 1)
    usual[direction] = { ...usual[direction], [metric]: sorted[at] as number }
  }
  const ranked = needs
    .map((need) => ({ ...need, excess: excessOf(need.suggested, usual) }))
    .sort((a, b) => b.excess - a.excess)
  const apart = ranked.filter(({ excess }) => excess > 1).slice(0, most)
  const together: Suggested = {}
  for (const { suggested } of ranked.slice(apart.length)) {
    for (const [direction, metric] of keysOf([suggested])) {
      const rate = Math.max(together[direction]?.[metric] ?? 0, suggested[direction]?.[metric] ?? 0)
      together[direction] = { ...together[direction], [metric]: rate }
    }
  }
  return { together, apart: apart.map(({ report }) => report) }
}

function excessOf(suggested: Suggested, usual: Suggested): number {
  const ratios = keysOf([suggested]).map(
    ([direction, metric]) => (suggested[direction]?.[metric] ?? 0) / (usual[direction]?.[metric] || 1),
  )
  return Math.max(0, ...ratios)
}

function keysOf(all: readonly Suggested[]): [direction: string, metric: string][] {
  const keys = new Map<string, [string, string]>()
  for (const suggested of all) {
    for (const [direction, metrics] of Object.entries(suggested)) {
      for (const metric of Object.keys(metrics)) keys.set(`${direction} ${metric}`, [direction, metric])
    }
  }
  return [...keys.values()]
}

/** As a person would write it: `13k`, `1.2G`. */
function written(suggested: Suggested): Record<string, Record<string, string>> {
  return Object.fromEntries(
    Object.entries(suggested).map(([direction, metrics]) => [
      direction,
      Object.fromEntries(Object.entries(metrics).map(([metric, rate]) => [metric, writtenRate(rate)])),
    ]),
  )
}

export function writtenRate(rate: number): string {
  for (const [unit, size] of [
    ['T', 1e12],
    ['G', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const) {
    if (rate >= size) return `${Number((rate / size).toPrecision(12))}${unit}`
  }
  return String(rate)
}
