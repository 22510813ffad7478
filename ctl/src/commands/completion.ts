// SPDX-License-Identifier: Apache-2.0
import { Argument, Command } from 'commander'
import { bashCompletion } from '../completion/bash.js'
import { describeCommands } from '../completion/describe.js'
import { zshCompletion } from '../completion/zsh.js'
import { examples } from '../help.js'
import type { World } from '../session.js'

export function completionCommand(world: World, program: () => Command): Command {
  return new Command('completion')
    .description('a script that completes commands and options in a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(['bash', 'zsh']))
    .addHelpText(
      'after',
      examples(
        ['source <(flowdam completion bash)', 'in ~/.bashrc'],
        ['source <(flowdam completion zsh)', 'in ~/.zshrc, after compinit'],
      ),
    )
    .action((shell: string) => {
      const commands = describeCommands(program())
      world.stdout.write(shell === 'bash' ? bashCompletion(commands) : zshCompletion(commands))
    })
}
