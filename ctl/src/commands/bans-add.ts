// SPDX-License-Identifier: Apache-2.0
import { type Ban, Direction } from '@flowdam/proto'
import { Command } from 'commander'
import { notFoundError, usageError } from '../command-error.js'
import { examples } from '../help.js'
import { directionOption, durationOption, prefixArgument } from '../input/values.js'
import { timeLeft } from '../output/ban.js'
import { directionWord } from '../output/json.js'
import { inSession, type World } from '../session.js'
import { whoAmI } from '../who.js'

interface AddOptions {
  duration?: number
  direction?: Direction
  reason: string
  who?: string
  level: string
}

export function bansAddCommand(world: World): Command {
  return new Command('add')
    .description('ban an address or prefix by hand; the hooks run as for a detected attack')
    .argument('<prefix>', 'address or prefix within the protected networks', prefixArgument)
    .option(
      '-t, --duration <time>',
      "how long, such as 30m or 2h (default: the aggregator's ban.duration)",
      banDuration,
    )
    .option('-d, --direction <in|out>', 'which traffic is meant (default: in)', directionOption)
    .option('-r, --reason <text>', 'why, for the history', '')
    .option('-l, --level <name>', 'one of the configured levels (default: the highest)', '')
    .option('--who <name>', 'who asks for it (default: you)')
    .addHelpText(
      'after',
      examples(
        ['flowdam bans add 203.0.113.5', 'as long as the configuration says'],
        ['flowdam bans add 203.0.113.5 --duration 2h --reason "ticket 4711"', ''],
        ['flowdam bans add 2001:db8:0:5::/64 --direction out', ''],
      ),
    )
    .action((prefix: string, options: AddOptions, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const response = await client.call(client.bans.addBan.bind(client.bans), {
          prefix,
          direction: options.direction ?? Direction.DIRECTION_INCOMING,
          durationS: Math.ceil((options.duration ?? 0) / 1000),
          reason: options.reason,
          who: options.who ?? whoAmI(session.env),
          level: options.level,
        })
        if (session.json) return session.writeJson(response)
        const { ban } = response
        if (!ban) throw notFoundError('the aggregator named no ban in its answer')
        const end = ban.untilUnixMs === 0 ? 'without an end' : `for ${timeLeft(ban, session.now())}`
        const dryRun = ban.dryRun ? '; dry run, so no hook is executed' : ''
        session.write(
          `${done(ban)} ${ban.prefix} (${directionWord(ban.direction)}) ${end}${dryRun}\nid ${ban.id}\n`,
        )
      }),
    )
}

/** What was done depends on the level. */
function done({ level, action }: Ban): string {
  return level === '' || action === 'blackhole' ? 'banned' : `took to level '${level}' (${action})`
}

/** 0 means "the configured duration" to the API, so it cannot mean anything else here. */
function banDuration(text: string): number {
  const duration = durationOption(text)
  if (duration < 1000) throw usageError('--duration: at least 1s')
  return duration
}
