// SPDX-License-Identifier: Apache-2.0
import { formatDuration } from '@flowdam/common'
import type { Attack, TrafficShare, TrafficSource } from '@flowdam/proto'
import { Command } from 'commander'
import { examples } from '../help.js'
import { wholeNumber } from '../input/values.js'
import { untilInterrupted } from '../interrupt.js'
import { type Field, renderFields } from '../output/fields.js'
import { directionWord } from '../output/json.js'
import { type Column, renderTable } from '../output/table.js'
import { printable } from '../output/terminal.js'
import {
  formatBps,
  formatCount,
  formatMetric,
  formatPps,
  formatRates,
  formatRecent,
  formatTime,
} from '../output/units.js'
import { inSession, type Session, type World } from '../session.js'

interface ListOptions {
  all?: true
  limit: number
}

export function attacksCommand(world: World): Command {
  return new Command('attacks')
    .description('the attacks: list (the default), show, watch')
    .addCommand(listCommand(world), { isDefault: true })
    .addCommand(showCommand(world))
    .addCommand(watchCommand(world))
}

function listCommand(world: World): Command {
  return new Command('list')
    .description('the attacks under way, or with --all those that are over, too')
    .option('-a, --all', 'those that are over, too, newest first')
    .option('-n, --limit <count>', 'at most this many', wholeNumber('--limit', 1, 10_000), 100)
    .addHelpText('after', examples(['flowdam attacks', 'now'], ['flowdam attacks list --all', 'and before']))
    .action((options: ListOptions, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const response = await client.call(client.attacks.listAttacks.bind(client.attacks), {
          includeEnded: options.all === true,
          limit: options.limit,
        })
        if (session.json) return session.writeJson(response)
        if (response.attacks.length === 0) {
          return session.write(options.all ? 'no attacks yet\n' : 'no attack now (--all lists former ones)\n')
        }
        session.write(renderTable(columns(session.now()), response.attacks, session.terminal))
      }),
    )
}

function columns(nowMs: number): Column<Attack>[] {
  return [
    { title: 'TARGET', cell: ({ target }) => target, shrink: 'middle' },
    { title: 'DIRECTION', cell: ({ direction }) => directionWord(direction), dropOrder: 4 },
    { title: 'TYPE', cell: typeWord },
    { title: 'PEAK PACKETS', cell: ({ peak }) => formatPps(peak?.pps ?? 0), align: 'right', dropOrder: 3 },
    { title: 'PEAK BITS', cell: ({ peak }) => formatBps(peak?.bps ?? 0), align: 'right', dropOrder: 2 },
    { title: 'SINCE', cell: ({ startedUnixMs }) => formatRecent(startedUnixMs, nowMs) },
    { title: 'LASTED', cell: (attack) => lasted(attack, nowMs), align: 'right' },
    { title: 'BANS', cell: ({ bans }) => String(bans.length), align: 'right', dropOrder: 6 },
    { title: 'ID', cell: ({ id }) => id, dropOrder: 5 },
  ]
}

/** `carpet_bombing (dns_amplification)`. */
function typeWord({ type, traffic }: Attack): string {
  return type === traffic ? type : `${type} (${traffic})`
}

function lasted({ startedUnixMs, endedUnixMs }: Attack, nowMs: number): string {
  const time = formatDuration(Math.max(0, (endedUnixMs || nowMs) - startedUnixMs))
  return endedUnixMs === 0 ? `${time} so far` : time
}

function showCommand(world: World): Command {
  return new Command('show')
    .description('one attack in full: what it is made of and where it comes from')
    .argument('<id>', "an attack's id")
    .addHelpText('after', examples(['flowdam attacks show 20261122T044907.000-9f3a1c', '']))
    .action((id: string, _options: object, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const response = await client.call(client.attacks.getAttack.bind(client.attacks), { id })
        if (session.json) return session.writeJson(response)
        if (response.attack) session.write(render(session, response.attack))
      }),
    )
}

function render(session: Session, attack: Attack): string {
  const { terminal } = session
  const fields = renderFields(describe(attack, session.now()), terminal)
  const { sources } = attack
  if (!sources) return fields
  const tables = [
    ['SOURCE', sources.addresses],
    ['SOURCE NETWORK', sources.prefixes],
    ['SOURCE PORT', sources.ports],
  ] as const
  return [fields, ...tables.map(([title, rows]) => renderTable(sourceColumns(title), rows, terminal))].join(
    '\n',
  )
}

function describe(attack: Attack, nowMs: number): Field[] {
  const { direction, target, metric, threshold, value, endedUnixMs } = attack
  const over = `${formatMetric(metric, value)}, threshold ${formatMetric(metric, threshold)}`
  return [
    { name: 'Target', value: `${target}, ${directionWord(direction)}` },
    { name: 'Type', value: typeWord(attack), style: 'red' },
    { name: 'Fired', value: `${metric}: ${over}` },
    { name: 'Began', value: formatTime(attack.startedUnixMs) },
    {
      name: 'Lasted',
      value: `${lasted(attack, nowMs)}${attack.bursts > 1 ? `, ${attack.bursts} bursts` : ''}`,
    },
    { name: 'Peak', value: formatRates(attack.peak) },
    ...(endedUnixMs === 0 ? [{ name: 'Now', value: formatRates(attack.now) }] : []),
    { name: 'Total', value: `${formatCount(attack.packets)} packets, ${formatCount(attack.bytes)} bytes` },
    { name: 'Made of', value: shares([...attack.classes, ...attack.vectors, attack.fragments]) },
    { name: 'Packets', value: `${Math.round(attack.averagePacketBytes)} bytes on average` },
    {
      name: 'Sources',
      value: attack.sources ? `about ${formatCount(attack.sources.distinct)}` : 'not known yet',
    },
    { name: 'Bans', value: attack.bans.length === 0 ? 'none' : attack.bans.join('\n') },
    { name: 'Id', value: attack.id },
  ]
}

/** `udp 98 %, dns 97 %`: of the packets, what is at least a hundredth. */
function shares(all: readonly (TrafficShare | undefined)[]): string {
  const large = all.filter((share) => share !== undefined).filter(({ packets }) => packets >= 0.01)
  return large.map(({ name, packets }) => `${name} ${Math.round(packets * 100)} %`).join(', ') || 'not known'
}

function sourceColumns(title: string): Column<TrafficSource>[] {
  return [
    { title, cell: ({ name }) => name },
    { title: 'PACKETS', cell: ({ packets }) => formatCount(packets), align: 'right' },
    { title: 'BYTES', cell: ({ bytes }) => formatCount(bytes), align: 'right' },
  ]
}

function watchCommand(world: World): Command {
  return new Command('watch')
    .description('the attacks under way, then every change, until Ctrl-C')
    .addHelpText('after', examples(['flowdam attacks watch', '']))
    .action((_options: object, command: Command) =>
      inSession(world, command, (session) =>
        untilInterrupted(async (signal) => {
          const { client } = session
          for await (const change of client.watch(() => client.attacks.watchAttacks({}), signal)) {
            const { event, atUnixMs, attack } = change
            if (session.json) session.writeJsonLine(change)
            else if (attack) {
              const what = `${attack.target}  ${typeWord(attack)}, ${formatRates(attack.now)}`
              session.write(`${formatTime(atUnixMs)}  ${event.padEnd(6)}  ${printable(what)}\n`)
            }
          }
        }),
      ),
    )
}
