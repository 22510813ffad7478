// SPDX-License-Identifier: Apache-2.0
import type { Ban } from '@flowdam/proto'
import { Command, Option } from 'commander'
import { usageError } from '../command-error.js'
import { examples } from '../help.js'
import { wholeNumber } from '../input/values.js'
import { banTraffic, cause, hooksWord, levelWord, timeLeft } from '../output/ban.js'
import { directionWord } from '../output/json.js'
import { type Column, renderTable } from '../output/table.js'
import { formatRecent } from '../output/units.js'
import { inSession, type World } from '../session.js'

interface ListOptions {
  all?: true
  prefixes?: true
  action?: string
  limit: number
}

const MOST_BANS = 10_000

export function bansListCommand(world: World): Command {
  return new Command('list')
    .description('the active bans, or with --all the ended ones too')
    .option('-a, --all', 'ended bans too, newest first')
    .option('-p, --prefixes', 'only the prefixes to be blackholed now, one a line: for scripts')
    .addOption(actionOption())
    .option('-n, --limit <count>', 'at most this many', wholeNumber('--limit', 1, 10_000), 100)
    .addHelpText(
      'after',
      examples(
        ['flowdam bans', 'what is blackholed now'],
        ['flowdam bans list --all --limit 20', 'the last 20'],
        ['flowdam bans list --prefixes', 'what a BGP speaker should announce'],
        ['flowdam bans list --prefixes --action drop', 'what the agents are to drop'],
        ["flowdam bans --json | jq -r '.bans[].prefix'", 'for a program'],
      ),
    )
    .action((options: ListOptions, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        if (options.prefixes && options.all)
          throw usageError('--prefixes: ended bans (--all) are not in force')
        const page = (limit: number, pageToken: string) =>
          client.call(client.bans.listBans.bind(client.bans), {
            includeEnded: options.all === true,
            limit,
            pageToken,
          })
        if (options.prefixes) {
          // All of them: what a list lacks, a resync withdraws.
          const bans: Ban[] = []
          let pageToken = ''
          do {
            const some = await page(MOST_BANS, pageToken)
            bans.push(...some.bans)
            pageToken = some.nextPageToken
          } while (pageToken !== '')
          return session.write(prefixLines(bans, options.action))
        }
        const response = await page(options.limit, '')
        if (options.action !== undefined) response.bans = response.bans.filter(doing(options.action))
        if (session.json) return session.writeJson(response)
        if (response.bans.length === 0) {
          return session.write(options.all ? 'no bans yet\n' : 'no active bans (--all lists ended ones)\n')
        }
        session.write(
          renderTable(banColumns(options, response.bans, session.now()), response.bans, session.terminal),
        )
      }),
    )
}

function actionOption(): Option {
  return new Option('--action <what>', 'only bans that do this').choices(['notify', 'drop', 'blackhole'])
}

/** A ban that agents drop is at a level for it, or was on its way to a higher one. */
function doing(action: string): (ban: Ban) => boolean {
  return (ban) => (action === 'drop' ? ban.drops : ban.action === action)
}

/** Dry runs are not in force. Sorted, so that two lists can be compared. */
function prefixLines(bans: readonly Ban[], action = 'blackhole'): string {
  return bans
    .filter((ban) => !ban.dryRun && doing(action)(ban))
    .map(({ prefix }) => `${prefix}\n`)
    .sort()
    .join('')
}

export function banColumns(
  { all }: Pick<ListOptions, 'all'>,
  bans: readonly Ban[],
  nowMs: number,
): Column<Ban>[] {
  return [
    { title: 'PREFIX', cell: ({ prefix }) => prefix, shrink: 'middle' },
    { title: 'DIRECTION', cell: ({ direction }) => directionWord(direction), dropOrder: 4 },
    ...(all ? [stateColumn] : []),
    ...(bans.some(({ level }) => level !== '') ? [levelColumn] : []),
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

const levelColumn: Column<Ban> = {
  title: 'LEVEL',
  cell: levelWord,
  style: ({ state, action }) => (state === 'banned' && action !== 'notify' ? 'red' : undefined),
}

const stateColumn: Column<Ban> = {
  title: 'STATE',
  cell: ({ state }) => state,
  style: ({ state }) => (state === 'banned' ? 'red' : undefined),
}
