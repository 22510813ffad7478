// SPDX-License-Identifier: Apache-2.0
import { formatDuration } from '@flowdam/common'
import { Command } from 'commander'
import { examples } from '../help.js'
import { inSession, type World } from '../session.js'
import { whoAmI } from '../who.js'

interface RemoveOptions {
  reason: string
  who?: string
}

export function bansRemoveCommand(world: World): Command {
  return new Command('remove')
    .alias('rm')
    .description('end a ban; the hooks withdraw the route')
    .argument('<ban>', "an address, a prefix or a ban's id")
    .option('-r, --reason <text>', 'why, for the history', '')
    .option('--who <name>', 'who asks for it (default: you)')
    .addHelpText('after', examples(['flowdam bans remove 203.0.113.5 --reason "false alarm"', '']))
    .action((target: string, options: RemoveOptions, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const response = await client.call(client.bans.removeBan.bind(client.bans), {
          target,
          reason: options.reason,
          who: options.who ?? whoAmI(session.env),
        })
        if (session.json) return session.writeJson(response)
        const { ban } = response
        const lasted = ban
          ? `, banned for ${formatDuration(Math.max(0, ban.unbannedUnixMs - ban.bannedUnixMs))}`
          : ''
        session.write(`unbanned ${ban?.prefix ?? target}${lasted}\n`)
      }),
    )
}
