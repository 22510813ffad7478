// SPDX-License-Identifier: Apache-2.0
import { Command, InvalidArgumentError } from 'commander'
import { examples } from '../help.js'
import { baselineTarget } from '../input/baseline-target.js'
import { formatMetric } from '../output/units.js'
import { inSession, type World } from '../session.js'
import { whoAmI } from '../who.js'

export function baselineAcceptCommand(world: World): Command {
  return new Command('accept')
    .description(
      'what an address, a hostgroup or everything gets now is no attack: expect as much from now on',
    )
    .argument('<target>', "an address, a hostgroup's name, or 'total'")
    .option(
      '--times <number>',
      'expect so many times what was usual (default: as many as there are now)',
      times,
    )
    .option('--who <name>', 'who says so (default: you)')
    .addHelpText(
      'after',
      examples(
        ['flowdam baseline accept 203.0.113.5', 'what it gets now is its new customers'],
        ['flowdam baseline accept 203.0.113.5 --times 5', 'five times as much will come'],
      ),
    )
    .action((text: string, options: { times?: number; who?: string }, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const { scope, target } = baselineTarget(text)
        const response = await client.call(client.baselines.acceptBaseline.bind(client.baselines), {
          scope,
          target,
          who: options.who ?? whoAmI(session.env),
          times: options.times ?? 0,
        })
        if (session.json) return session.writeJson(response)
        session.write(`${Number(response.raised.toPrecision(2))} times as much is usual for ${target} now\n`)
        for (const { metric, threshold, learned } of response.baseline?.metrics ?? []) {
          if (threshold === undefined) continue
          const origin = learned ? 'learned' : 'configured'
          session.write(`${metric}: threshold ${formatMetric(metric, threshold)}, ${origin}\n`)
        }
      }),
    )
}

function times(text: string): number {
  const value = Number(text)
  if (!(value > 1 && value <= 1000)) throw new InvalidArgumentError('it is above 1 and at most 1000.')
  return value
}
