// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander'
import { examples } from '../help.js'
import { inSession, type World } from '../session.js'
import { whoAmI } from '../who.js'

interface PauseOptions {
  reason: string
  who?: string
  release?: true
}

export function bansPauseCommand(world: World): Command {
  return new Command('pause')
    .description('the kill switch: the detector bans nothing more until resume')
    .option('-r, --reason <text>', 'why, for whoever looks next', '')
    .option('--who <name>', 'who asks for it (default: you)')
    .option('--release', 'end every ban in force, too')
    .addHelpText(
      'after',
      examples(
        ['flowdam bans pause --reason "maintenance"', 'bans in force stay and end as they would'],
        ['flowdam bans pause --release', 'everything is withdrawn'],
      ),
    )
    .action((options: PauseOptions, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const response = await client.call(client.bans.pauseBans.bind(client.bans), {
          who: options.who ?? whoAmI(session.env),
          reason: options.reason,
          release: options.release === true,
        })
        if (session.json) return session.writeJson(response)
        const released = options.release ? ', and the bans in force have ended' : ''
        session.write(`paused: the detector bans nothing until 'flowdam bans resume'${released}\n`)
      }),
    )
}
