// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander'
import { examples } from '../help.js'
import { baselineTarget } from '../input/baseline-target.js'
import { inSession, type World } from '../session.js'
import { whoAmI } from '../who.js'

export function baselineForgetCommand(world: World): Command {
  return new Command('forget')
    .description('learn anew what is usual for an address, a hostgroup or in total')
    .argument('<target>', "an address, a hostgroup's name, or 'total'")
    .option('--who <name>', 'who asks for it (default: you)')
    .addHelpText('after', examples(['flowdam baseline forget 203.0.113.5', 'it has another customer now']))
    .action((text: string, options: { who?: string }, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const { scope, target } = baselineTarget(text)
        const response = await client.call(client.baselines.forgetBaseline.bind(client.baselines), {
          scope,
          target,
          who: options.who ?? whoAmI(session.env),
        })
        if (session.json) return session.writeJson(response)
        session.write(`forgotten; until enough is learned of ${target} again, configured thresholds decide\n`)
      }),
    )
}
