// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander'
import { examples } from '../help.js'
import { inSession, type World } from '../session.js'
import { whoAmI } from '../who.js'

interface ResumeOptions {
  reason: string
  who?: string
}

export function bansResumeCommand(world: World): Command {
  return new Command('resume')
    .description('the detector bans again, after a pause or when the circuit breaker tripped')
    .option('-r, --reason <text>', 'why, for whoever looks next', '')
    .option('--who <name>', 'who asks for it (default: you)')
    .addHelpText('after', examples(['flowdam bans resume', '']))
    .action((options: ResumeOptions, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const response = await client.call(client.bans.resumeBans.bind(client.bans), {
          who: options.who ?? whoAmI(session.env),
          reason: options.reason,
        })
        if (session.json) return session.writeJson(response)
        session.write('resumed: the detector bans what exceeds its thresholds\n')
      }),
    )
}
