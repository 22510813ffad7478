// SPDX-License-Identifier: Apache-2.0
import type { Baseline, BaselineMetric } from '@flowdam/proto'
import { Command } from 'commander'
import { examples } from '../help.js'
import { baselineTarget } from '../input/baseline-target.js'
import { wholeNumber } from '../input/values.js'
import { renderFields } from '../output/fields.js'
import { directionWord } from '../output/json.js'
import { type Column, renderTable } from '../output/table.js'
import { formatAgo, formatCount, formatMetric } from '../output/units.js'
import { inSession, type Session, type World } from '../session.js'

const ANSWER_WITHIN_MS = 30_000

interface ShowOptions {
  hostgroup: string
  limit: number
}

export function baselineShowCommand(world: World): Command {
  return new Command('show')
    .description('what was learned, by hostgroup and address; of one target with its whole week')
    .argument('[target]', "an address, a hostgroup's name, or 'total'")
    .option('-g, --hostgroup <name>', 'only this hostgroup and its addresses', '')
    .option('-n, --limit <count>', 'at most this many addresses', wholeNumber('--limit', 1, 10_000), 100)
    .addHelpText(
      'after',
      examples(
        ['flowdam baseline', 'everything, busiest addresses first'],
        ['flowdam baseline 203.0.113.5', 'its week, thresholds and suggestions'],
      ),
    )
    .action((target: string | undefined, options: ShowOptions, command: Command) =>
      inSession(
        world,
        command,
        (session) => (target === undefined ? list(session, options) : show(session, target)),
        ANSWER_WITHIN_MS,
      ),
    )
}

async function list(session: Session, { hostgroup, limit }: ShowOptions): Promise<void> {
  const { client } = session
  const response = await client.call(client.baselines.listBaselines.bind(client.baselines), {
    hostgroup,
    limit,
  })
  if (session.json) return session.writeJson(response)
  const { baselines, addresses, enabled } = response
  if (!enabled) return session.write("nothing is learned: the configuration has no 'baseline'\n")
  const rows = baselines.flatMap((baseline) => baseline.metrics.map((metric) => ({ baseline, metric })))
  if (rows.length > 0) session.write(renderTable(LIST, rows, session.terminal))
  const shown = baselines.filter(({ scope }) => scope === 'host').length
  session.write(`${formatCount(shown)} of ${formatCount(addresses)} addresses with a profile\n`)
}

interface Row {
  baseline: Baseline
  metric: BaselineMetric
}

const LIST: Column<Row>[] = [
  { title: 'TARGET', cell: ({ baseline }) => targetWord(baseline), shrink: 'middle' },
  { title: 'HOSTGROUP', cell: ({ baseline }) => baseline.hostgroup, dropOrder: 4, shrink: 'end' },
  { title: 'LEARNED', cell: ({ baseline }) => progress(baseline), align: 'right', dropOrder: 3 },
  { title: 'DIRECTION', cell: ({ metric }) => directionWord(metric.direction), dropOrder: 5 },
  { title: 'METRIC', cell: ({ metric }) => metric.metric },
  { title: 'USUAL NOW', cell: ({ metric }) => rate(metric, metric.usual), align: 'right' },
  { title: 'BUSIEST', cell: ({ metric }) => rate(metric, metric.busiest), align: 'right', dropOrder: 2 },
  { title: 'THRESHOLD', cell: ({ metric }) => rate(metric, metric.threshold), align: 'right' },
  { title: 'FROM', cell: ({ metric }) => (metric.learned ? 'learned' : 'configured'), dropOrder: 6 },
  { title: 'SUGGESTED', cell: ({ metric }) => rate(metric, metric.suggested), align: 'right', dropOrder: 1 },
]

function targetWord({ scope, target }: Baseline): string {
  return scope === 'hostgroup' ? `hostgroup ${target}` : target
}

function progress({ ready, learnedHours, neededHours }: Baseline): string {
  return ready ? `${learnedHours} h` : `${learnedHours} of ${neededHours} h`
}

function rate({ metric }: BaselineMetric, value: number | undefined): string {
  return value === undefined ? '-' : formatMetric(metric, value)
}

async function show(session: Session, text: string): Promise<void> {
  const { client, terminal } = session
  const response = await client.call(
    client.baselines.getBaseline.bind(client.baselines),
    baselineTarget(text),
  )
  if (session.json) return session.writeJson(response)
  const { baseline } = response
  if (!baseline) return
  const fields = renderFields(
    [
      { name: 'Target', value: targetWord(baseline) },
      { name: 'Hostgroup', value: baseline.hostgroup || 'none' },
      {
        name: 'Learned',
        value: `${progress(baseline)}${baseline.ready ? '' : '; configured thresholds decide until then'}`,
      },
      { name: 'Last seen', value: formatAgo(baseline.activeUnixMs, session.now()) },
    ],
    terminal,
  )
  const rows = baseline.metrics.map((metric) => ({ baseline, metric }))
  const table = renderTable(
    LIST.filter(({ title }) => !['TARGET', 'HOSTGROUP', 'LEARNED'].includes(title)),
    rows,
    terminal,
  )
  session.write(`${fields}\n${table}${baseline.metrics.map(renderWeek).join('')}`)
}

const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']

/** A line for each day, a digit for each hour: tenths of the busiest one. */
function renderWeek(metric: BaselineMetric): string {
  const { busiest, busiestHour, week } = metric
  if (busiest === undefined || week.length === 0) return ''
  const digit = (value: number) =>
    value < 0 ? '.' : busiest > 0 ? String(Math.min(9, Math.floor((value / busiest) * 10))) : '0'
  const lines = DAYS.map((day, index) => {
    const hours = week.slice(index * 24, index * 24 + 24).map(digit)
    return `  ${day.padEnd(9)}  ${[0, 6, 12, 18].map((from) => hours.slice(from, from + 6).join('')).join(' ')}`
  })
  const title = `${directionWord(metric.direction)} ${metric.metric}`
  return `\n${title} by hour (UTC), tenths of ${rate(metric, busiest)} on ${busiestHour};\na dot was not learned:\n${lines.join('\n')}\n`
}
