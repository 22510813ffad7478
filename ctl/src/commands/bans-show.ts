// SPDX-License-Identifier: Apache-2.0
import { formatDuration, parsePrefix } from '@flowdam/common'
import type { Ban, BanStep, HookRun } from '@flowdam/proto'
import { Command } from 'commander'
import { notFoundError } from '../command-error.js'
import { examples } from '../help.js'
import { cause, levelWord } from '../output/ban.js'
import { type Field, renderFields, wrap } from '../output/fields.js'
import { directionWord } from '../output/json.js'
import { type Column, renderTable } from '../output/table.js'
import { formatMetric, formatRates, formatRecent, formatTime } from '../output/units.js'
import { inSession, type Session, type World } from '../session.js'

/** As far back as an address is looked for among ended bans. */
const SEARCHED_BANS = 1000

export function bansShowCommand(world: World): Command {
  return new Command('show')
    .description('one ban in full, with what its hooks did and printed')
    .argument('<ban>', "a ban's id, or an address or prefix: its latest ban")
    .addHelpText(
      'after',
      examples(
        ['flowdam bans show 203.0.113.5', 'the active ban of an address, else its last one'],
        ['flowdam bans show 203.0.113.5 --json', 'with the whole output of the hooks'],
      ),
    )
    .action((target: string, _options: object, command: Command) =>
      inSession(world, command, async (session) => {
        const ban = await findBan(session, target)
        if (session.json) return session.writeJson({ ban })
        session.write(render(session, ban))
      }),
    )
}

async function findBan({ client }: Session, target: string): Promise<Ban> {
  const prefix = canonicalPrefix(target)
  if (prefix === undefined) {
    const { ban } = await client.call(client.bans.getBan.bind(client.bans), { id: target })
    if (ban) return ban
    throw notFoundError(`no ban has the id '${target}'`, 'flowdam bans list --all shows the ids.')
  }
  const { bans } = await client.call(client.bans.listBans.bind(client.bans), {
    includeEnded: true,
    limit: SEARCHED_BANS,
    pageToken: '',
  })
  const matching = bans.filter((ban) => canonicalPrefix(ban.prefix) === prefix)
  const ban = matching.find(({ state }) => state === 'banned') ?? newest(matching)
  if (ban) return ban
  throw notFoundError(`${target} has no ban among the last ${SEARCHED_BANS}`)
}

function newest(bans: readonly Ban[]): Ban | undefined {
  return [...bans].sort((a, b) => b.bannedUnixMs - a.bannedUnixMs)[0]
}

function canonicalPrefix(text: string): string | undefined {
  try {
    return parsePrefix(text).text
  } catch {
    return undefined
  }
}

function render(session: Session, ban: Ban): string {
  const { terminal } = session
  const fields = renderFields(describe(ban, session.now()), terminal)
  const steps = ban.level === '' ? [] : [renderTable(STEP_COLUMNS, ban.steps, terminal)]
  if (ban.hooks.length === 0) {
    return `${[fields, ...steps].join('\n')}\n${ban.dryRun ? 'Dry run: hooks were not executed.' : 'No hook has run.'}\n`
  }
  const outputs = ban.hooks.filter(({ output }) => output.trim() !== '').map((run) => hookOutput(run))
  return [fields, ...steps, renderTable(HOOK_COLUMNS, ban.hooks, terminal), ...outputs].join('\n')
}

function describe(ban: Ban, nowMs: number): Field[] {
  return [
    { name: 'Prefix', value: ban.prefix },
    { name: 'State', value: ban.state, ...(ban.state === 'banned' && { style: 'red' as const }) },
    ...(ban.level === '' ? [] : [{ name: 'Level', value: levelWord(ban) }]),
    { name: 'Direction', value: directionWord(ban.direction) },
    { name: 'Cause', value: cause(ban) },
    ...(ban.reason === '' ? [] : [{ name: 'Reason', value: ban.reason }]),
    { name: 'Traffic', value: `${formatRates(ban.rates)} when it was banned` },
    { name: 'Hostgroup', value: ban.hostgroup || 'none' },
    ...(isDetected(ban) ? [{ name: 'Detected', value: formatTime(ban.detectedUnixMs) }] : []),
    { name: 'Banned', value: bannedLine(ban) },
    ...seenLines(ban, nowMs),
    ...(ban.drops ? [{ name: 'Dropped', value: droppedLine(ban), ...(noAgent(ban) && RED) }] : []),
    ...endLines(ban, nowMs),
    { name: 'By', value: banBy(ban) },
    { name: 'Id', value: ban.id },
  ]
}

const RED = { style: 'red' as const }

function seenLines({ state, lastSeenUnixMs }: Ban, nowMs: number): Field[] {
  if (state === 'unbanned' || lastSeenUnixMs === 0) return []
  return [{ name: 'Last seen', value: `${formatRecent(lastSeenUnixMs, nowMs)}, over a threshold` }]
}

function noAgent({ state, drops, dropAgents, dryRun }: Ban): boolean {
  return state === 'banned' && drops && dropAgents === 0 && !dryRun
}

function droppedLine(ban: Ban): string {
  if (noAgent(ban))
    return 'nothing: no connected agent has the rule in force (drop_rules: true in agent.yaml)'
  const amount = `${ban.droppedPackets} packets, ${ban.droppedBytes} bytes`
  return ban.state === 'banned' ? `${amount} at ${ban.dropAgents} agents` : amount
}

/** Who they say they are, and what the aggregator knows of them. */
function banBy({ who, by }: Ban): string {
  const name = who || 'unknown'
  return by === '' || by === name ? name : `${name} (${by})`
}

function isDetected({ metric, detectedUnixMs }: Ban): boolean {
  return metric !== 'manual' && detectedUnixMs > 0
}

function bannedLine(ban: Ban): string {
  const { bannedUnixMs, detectedUnixMs } = ban
  const delay = formatDuration(bannedUnixMs - detectedUnixMs)
  return formatTime(bannedUnixMs) + (isDetected(ban) ? ` (${delay} after detection)` : '')
}

function endLines(
  { state, untilUnixMs, unbannedUnixMs, bannedUnixMs, endedBy }: Ban,
  nowMs: number,
): Field[] {
  if (state === 'unbanned') {
    const lasted = formatDuration(Math.max(0, unbannedUnixMs - bannedUnixMs))
    const by = endedBy === '' ? '' : `, by ${endedBy}`
    return [{ name: 'Unbanned', value: `${formatTime(unbannedUnixMs)}, after ${lasted}${by}` }]
  }
  if (untilUnixMs === 0) return [{ name: 'Until', value: 'without an end' }]
  const left = formatDuration(Math.max(0, untilUnixMs - nowMs))
  return [{ name: 'Until', value: `${formatRecent(untilUnixMs, nowMs)}, in ${left}` }]
}

const STEP_COLUMNS: Column<BanStep>[] = [
  { title: 'LEVEL', cell: ({ level, action }) => `${level} (${action})`, shrink: 'end' },
  { title: 'FROM', cell: ({ at }) => `${at} ×`, align: 'right' },
  { title: 'SINCE', cell: ({ atUnixMs }) => formatTime(atUnixMs) },
  {
    title: 'MEASURED',
    cell: ({ metric, value }) => (metric === 'manual' ? '' : `${metric} ${formatMetric(metric, value)}`),
  },
  { title: 'BY', cell: ({ who }) => who, dropOrder: 1 },
]

const HOOK_COLUMNS: Column<HookRun>[] = [
  { title: 'HOOK', cell: ({ hook }) => hook, shrink: 'end' },
  { title: 'ACTION', cell: ({ action }) => action },
  { title: 'ATTEMPT', cell: ({ attempt }) => String(attempt), align: 'right', dropOrder: 2 },
  { title: 'STARTED', cell: ({ startedUnixMs }) => formatTime(startedUnixMs), dropOrder: 1 },
  {
    title: 'TOOK',
    cell: ({ result, durationMs }) => (result === 'running' ? '' : formatDuration(durationMs)),
    align: 'right',
  },
  {
    title: 'RESULT',
    cell: ({ result, exitCode }) => (result === 'failed' ? `failed, exit ${exitCode}` : result),
    style: ({ result }) => (result === 'failed' || result === 'timeout' ? 'red' : undefined),
  },
]

function hookOutput({ hook, action, output }: HookRun): string {
  const lines = wrap(output.trimEnd(), Number.POSITIVE_INFINITY).map((line) => `  ${line}`)
  return `${hook} ${action} printed:\n${lines.join('\n')}\n`
}
