// SPDX-License-Identifier: Apache-2.0
import type { Attack } from '@flowdam/proto'
import type { Metadata } from '@grpc/grpc-js'
import { Command } from 'commander'
import { examples } from '../help.js'
import { wholeNumber } from '../input/values.js'
import { untilInterrupted } from '../interrupt.js'
import { lasted, renderAttack, typeWord } from '../output/attack.js'
import { directionWord } from '../output/json.js'
import { type Column, renderTable } from '../output/table.js'
import { printable } from '../output/terminal.js'
import { formatBps, formatPps, formatRates, formatRecent, formatTime } from '../output/units.js'
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
          pageToken: '',
        })
        if (session.json) return session.writeJson(response)
        if (response.attacks.length === 0) {
          return session.write(options.all ? 'no attacks yet\n' : 'no attack now (--all lists former ones)\n')
        }
        session.write(renderTable(attackColumns(session.now()), response.attacks, session.terminal))
      }),
    )
}

export function attackColumns(nowMs: number): Column<Attack>[] {
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
        if (response.attack) session.write(renderAttack(response.attack, session.now(), session.terminal))
      }),
    )
}

function watchCommand(world: World): Command {
  return new Command('watch')
    .description('the attacks under way, then every change, until Ctrl-C')
    .addHelpText('after', examples(['flowdam attacks watch', '']))
    .action((_options: object, command: Command) => inSession(world, command, watchAttacks))
}

/** A line for each change. */
export function watchAttacks(session: Session): Promise<void> {
  return untilInterrupted(async (signal) => {
    const { client } = session
    const open = (metadata: Metadata) => client.attacks.watchAttacks({}, metadata)
    for await (const change of client.watch(open, signal)) {
      const { event, atUnixMs, attack } = change
      if (session.json) session.writeJsonLine(change)
      else if (attack) {
        const what = `${attack.target}  ${typeWord(attack)}, ${formatRates(attack.now)}`
        session.write(`${formatTime(atUnixMs)}  ${event.padEnd(6)}  ${printable(what)}\n`)
      }
    }
  })
}
