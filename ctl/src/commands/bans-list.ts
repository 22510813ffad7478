// SPDX-License-Identifier: Apache-2.0
import type { Ban } from '@flowdam/proto'
import { Command } from 'commander'
import { examples } from '../help.js'
import { wholeNumber } from '../input/values.js'
import { banTraffic, cause, hooksWord, timeLeft } from '../output/ban.js'
import { directionWord } from '../output/json.js'
import { type Column, renderTable } from '../output/table.js'
import { formatRecent } from '../output/units.js'
import { inSession, type World } from '../session.js'

interface ListOptions {
  all?: true
  limit: number
}

export function bansListCommand(world: World): Command {
  return new Command('list')
    .description('the active bans, or with --all the ended ones too')
    .option('-a, --all', 'ended bans too, newest first')
    .option('-n, --limit <count>', 'at most this many', wholeNumber('--limit', 1, 10_000), 100)
    .addHelpText(
      'after',
      examples(
        ['flowdam bans', 'what is blackholed now'],
        ['flowdam bans list --all --limit 20', 'the last 20'],
        ["flowdam bans --json | jq -r '.bans[].prefix'", 'for a program'],
      ),
    )
    .action((options: ListOptions, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const response = await client.call(client.bans.listBans.bind(client.bans), {
          includeEnded: options.all === true,
          limit: options.limit,
          pageToken: '',
        })
        if (session.json) return session.writeJson(response)
        if (response.bans.length === 0) {
          return session.write(options.all ? 'no bans yet\n' : 'no active bans (--all lists ended ones)\n')
        }
        session.write(renderTable(columns(options, session.now()), response.bans, session.terminal))
      }),
    )
}

function columns({ all }: ListOptions, nowMs: number): Column<Ban>[] {
  return [
    { title: 'PREFIX', cell: ({ prefix }) => prefix, shrink: 'middle' },
    { title: 'DIRECTION', cell: ({ direction }) => directionWord(direction), dropOrder: 4 },
    ...(all ? [stateColumn] : []),
    { title: 'CAUSE', cell: cause, shrink: 'end' },
    { title: 'TRAFFIC', cell: banTraffic, dropOrder: 3 },
    { title: 'SINCE', cell: ({ bannedUnixMs }) => formatRecent(bannedUnixMs, nowMs) },
    {
      title: 'ENDS IN',
      cell: (ban) => (ban.state === 'unbanned' ? '' : timeLeft(ban, nowMs)),
      align: 'right',
    },
    {
      title: 'HOOKS',
      cell: hooksWord,
      dropOrder: 2,
      style: (ban) => (['failed', 'timeout'].includes(hooksWord(ban)) ? 'red' : undefined),
    },
    { title: 'HOSTGROUP', cell: ({ hostgroup }) => hostgroup, dropOrder: 6 },
    { title: 'ID', cell: ({ id }) => id, dropOrder: 5 },
  ]
}

const stateColumn: Column<Ban> = {
  title: 'STATE',
  cell: ({ state }) => state,
  style: ({ state }) => (state === 'banned' ? 'red' : undefined),
}
