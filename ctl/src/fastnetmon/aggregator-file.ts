// SPDX-License-Identifier: Apache-2.0
import type { Prefix } from '@flowdam/common'
import type { Policy } from './policy.js'
import type { Thresholds } from './thresholds.js'

export interface HookEntry {
  name: string
  run: readonly string[]
  format: 'fastnetmon' | 'json'
  /** Why it is a comment: --check refuses a program that is not there. Empty when it is not. */
  obstacle: string
}

export interface AggregatorFile {
  source: string
  networks: readonly Prefix[]
  exempt: readonly Prefix[]
  policy: Policy
  windowMs: number
  banSeconds: number
  hooks: readonly HookEntry[]
  api: boolean
  metricTables: boolean
}

const DAY_S = 86_400
const USUAL_LONGEST_S = 14_400

/** aggregator.yaml, as a person would have written it. */
export function aggregatorYaml(file: AggregatorFile): string {
  const { policy, banSeconds } = file
  const bannedS = banSeconds === 0 ? 365 * DAY_S : banSeconds
  const lines = [
    `# Made from ${oneLine(file.source)} by 'flowdam import fastnetmon'.`,
    '# docs/aggregator-config.md explains every key.',
    '',
    'networks:',
    ...items(file.networks),
    ...(file.exempt.length > 0 ? ['exempt:', ...items(file.exempt)] : ['exempt: []']),
    '',
    '# For every address, unless a hostgroup says otherwise.',
    'thresholds:',
    ...thresholds(policy, policy.defaults, '  '),
    `  window: ${file.windowMs}ms`,
    ...groups(policy),
    '',
    'ban:',
    `  enabled: ${policy.banEnabled}`,
    '  # Bans are made and shown, but no hook runs. Compare for a while, then say false.',
    '  dry_run: true',
    `  duration: ${bannedS}s`,
    `  max_duration: ${Math.max(bannedS, USUAL_LONGEST_S)}s`,
    '',
    ...hooks(file.hooks),
    ...(file.metricTables ? ['', 'store: { engine: embedded, fastnetmon_tables: true }'] : []),
    ...(file.api
      ? [
          '',
          '# For fastnetmon_api_client, once FastNetMon is gone from that port:',
          '# fastnetmon_api: 127.0.0.1:50052',
        ]
      : []),
  ]
  return `${lines.join('\n')}\n`
}

/** agent.yaml for the interfaces on which FastNetMon captured. */
export function agentYaml(source: string, interfaces: readonly string[], native: boolean): string {
  return `# Made from ${oneLine(source)} by 'flowdam import fastnetmon'.
# docs/agent-config.md explains every key.

id: edge1
aggregator: 127.0.0.1:50060
# The uplinks. { name: eth1, boundary: internal } for the customers' side, lest a packet counts twice.
interfaces: [${interfaces.map(quoted).join(', ')}]
# tap, where the interface only gets copies from a mirror port: frames are dropped after counting.
mode: inline
attach: ${native ? 'native' : 'auto'}
`
}

/** A hook's settings file. */
export function settingsFile(source: string, settings: readonly (readonly [string, string])[]): string {
  const lines = settings.map(([name, value]) => `${name}=${value}\n`)
  return `# Made from ${oneLine(source)} by 'flowdam import fastnetmon'.\n${lines.join('')}`
}

function items(prefixes: readonly Prefix[]): string[] {
  return prefixes.map(({ text }) => `  - ${quoted(text)}`)
}

function groups({ groups, ...policy }: Policy): string[] {
  if (groups.length === 0) return []
  return [
    'hostgroups:',
    ...groups.flatMap(({ name, prefixes, thresholds: own, why }) => [
      `  # ${oneLine(why)}`,
      `  - name: ${quoted(name)}`,
      `    prefixes: [${prefixes.map(quoted).join(', ')}]`,
      ...thresholds({ ...policy, groups }, own, '    '),
    ]),
  ]
}

/** Both directions; what others have and this one has not is off, since FastNetMon's hostgroups inherit nothing. */
function thresholds({ directions, defaults, groups }: Policy, own: Thresholds, indent: string): string[] {
  // Also what only another hostgroup has: this one may lie inside it.
  const metrics = new Set(
    [defaults, ...groups.map(({ thresholds }) => thresholds)].flatMap((map) => [...map.keys()]),
  )
  if (metrics.size === 0) return []
  const text = [...metrics].map((metric) => `${metric}: ${own.get(metric) ?? 'off'}`).join(', ')
  return directions.map((direction) => `${indent}${direction}: { ${text} }`)
}

function hooks(entries: readonly HookEntry[]): string[] {
  // FastNetMon runs a script once, whatever its exit status is: one that sends mail must not be called each minute.
  const once = (name: string) => (name === 'notify' ? ', retry_every: off' : '')
  const line = ({ name, run, format }: HookEntry) =>
    `  - { name: ${quoted(name)}, run: [${run.map(quoted).join(', ')}], format: ${format}, timeout: 30s${once(name)} }`
  const usable = entries.filter(({ obstacle }) => obstacle === '')
  return [
    usable.length > 0 ? 'hooks:' : 'hooks: []',
    ...entries.flatMap((entry) =>
      entry.obstacle === ''
        ? [line(entry)]
        : [`# ${oneLine(entry.obstacle)}; then:`, `#${oneLine(line(entry))}`],
    ),
  ]
}

/** JSON's strings are YAML's. */
function quoted(text: string): string {
  return JSON.stringify(text)
}

/** A comment must not end where somebody else's text has a line end. */
function oneLine(text: string): string {
  return text.replace(/[\r\n\u0085\u2028\u2029]+/g, ' ')
}
