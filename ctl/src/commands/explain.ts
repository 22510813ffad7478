// SPDX-License-Identifier: Apache-2.0
import type { Attack, BanLevel, GetHostResponse, ThresholdState } from '@flowdam/proto'
import { Command } from 'commander'
import { examples } from '../help.js'
import { addressArgument } from '../input/values.js'
import { typeWord } from '../output/attack.js'
import { summariseBan } from '../output/ban.js'
import { renderFields, wrap } from '../output/fields.js'
import { directionWord } from '../output/json.js'
import { type Column, renderTable } from '../output/table.js'
import { paint, type Style } from '../output/terminal.js'
import { formatMetric, formatRecent } from '../output/units.js'
import { inSession, type Session, type World } from '../session.js'
import { fetchHost } from './host.js'

export function explainCommand(world: World): Command {
  return new Command('explain')
    .description('why an address is banned or not: its hostgroup, each threshold, how near it is')
    .argument('<address>', 'IPv4 or IPv6 address', addressArgument)
    .addHelpText('after', examples(['flowdam explain 203.0.113.5', '']))
    .action((address: string, _options: object, command: Command) =>
      inSession(world, command, async (session) => {
        const host = await fetchHost(session, address)
        if (session.json) return session.writeJson(host)
        session.write(render(session, address, host))
      }),
    )
}

function render(
  session: Session,
  address: string,
  { rates, thresholds, ban, reason, levels, attacks, lastBan }: GetHostResponse,
): string {
  const { terminal } = session
  const verdict = wrap(reason || (ban ? 'Banned.' : 'Not banned.'), terminal.width)
    .map((line) => paint(terminal, ban ? 'red' : undefined, line))
    .join('\n')
  const fields = renderFields(
    [
      { name: 'Address', value: address },
      { name: 'Hostgroup', value: rates?.hostgroup || 'none' },
      ...attacks.map((attack) => ({ name: 'Attack', value: attackWords(attack) })),
      ...(ban ? [{ name: 'Ban', value: `${summariseBan(ban, session.now())}\nid ${ban.id}` }] : []),
      ...(!ban && lastBan
        ? [
            {
              name: 'Last ban',
              value: `ended ${formatRecent(lastBan.unbannedUnixMs, session.now())}: ${lastBan.reason}\nid ${lastBan.id}`,
            },
          ]
        : []),
    ],
    terminal,
  )
  const table =
    thresholds.length === 0
      ? 'No threshold applies to this address.\n'
      : renderTable(COLUMNS, thresholds, terminal)
  const learned = thresholds
    .filter(({ basis }) => basis !== '')
    .map(({ metric, of, source, basis }) => `${metric}${of === '' ? '' : ` of ${of}`}, ${source}: ${basis}`)
    .flatMap((line) => wrap(line, terminal.width))
    .map((line) => `${line}\n`)
    .join('')
  const ladder = levels.length === 0 ? '' : `\n${renderTable(LEVEL_COLUMNS, levels, terminal)}`
  return `${verdict}\n\n${fields}\n${table}${learned === '' ? '' : `\n${learned}`}${ladder}`
}

const LEVEL_COLUMNS: Column<BanLevel>[] = [
  { title: 'LEVEL', cell: ({ name }) => name, shrink: 'end' },
  { title: 'FROM', cell: ({ at }) => `${at} ×`, align: 'right' },
  { title: 'ACTION', cell: ({ action }) => action },
  { title: 'HOOKS', cell: ({ hooks }) => hooks.join(', '), shrink: 'end' },
  { title: '', cell: ({ inForce }) => (inForce ? 'in force' : ''), style: () => 'red' },
]

/** Which rule, by how much, and where to read more. */
function attackWords(attack: Attack): string {
  const { id, target, metric, value, threshold, rule } = attack
  const over = `${metric} ${formatMetric(metric, value)} over ${formatMetric(metric, threshold)}`
  return `${typeWord(attack)} on ${target}, ${directionWord(attack.direction)}: ${over}${rule ? `, by ${rule}` : ''}\nid ${id}`
}

const BAR_CELLS = 20

const COLUMNS: Column<ThresholdState>[] = [
  { title: 'DIRECTION', cell: ({ direction }) => directionWord(direction) },
  { title: 'METRIC', cell: ({ metric, of }) => (of === '' ? metric : `${metric} of ${of}`), shrink: 'end' },
  { title: 'NOW', cell: ({ metric, current }) => formatMetric(metric, current), align: 'right' },
  { title: 'THRESHOLD', cell: ({ metric, threshold }) => formatMetric(metric, threshold), align: 'right' },
  { title: 'FROM', cell: ({ source }) => source, dropOrder: 2 },
  { title: 'SHARE', cell: (state) => `${Math.round(share(state) * 100)} %`, align: 'right', style },
  { title: '', cell: bar, dropOrder: 2, style },
  { title: 'RULE', cell: ({ rule }) => rule, dropOrder: 1, shrink: 'middle' },
]

function share({ current, threshold }: ThresholdState): number {
  return threshold > 0 ? current / threshold : 0
}

function bar(state: ThresholdState): string {
  const filled = Math.min(BAR_CELLS, Math.round(share(state) * BAR_CELLS))
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}]`
}

function style(state: ThresholdState): Style | undefined {
  if (share(state) >= 1) return 'red'
  return share(state) >= 0.5 ? 'yellow' : undefined
}
