// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander'
import { examples } from '../help.js'
import { wholeNumber } from '../input/values.js'
import { inSession, type World } from '../session.js'

const ANSWER_WITHIN_MS = 60_000

export function baselineExportCommand(world: World): Command {
  return new Command('export')
    .description('what was learned as configured thresholds: YAML for aggregator.yaml')
    .option(
      '--hosts <count>',
      'addresses that get a hostgroup of their own at most, because they have much more than others',
      wholeNumber('--hosts', 1, 10_000),
      100,
    )
    .addHelpText(
      'after',
      examples(
        ['flowdam baseline export > suggested.yaml', ''],
        ['flowdam-aggregator --check --config suggested.yaml', 'it is a valid file'],
      ),
    )
    .action((options: { hosts: number }, command: Command) =>
      inSession(
        world,
        command,
        async (session) => {
          const { client } = session
          const call = client.baselines.exportBaselines.bind(client.baselines)
          const response = await client.call(call, { hosts: options.hosts })
          if (session.json) return session.writeJson(response)
          session.write(response.yaml)
        },
        ANSWER_WITHIN_MS,
      ),
    )
}
