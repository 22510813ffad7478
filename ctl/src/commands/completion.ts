// SPDX-License-Identifier: Apache-2.0
import { Argument, Command } from 'commander'
import { bashCompletion } from '../completion/bash.js'
import { type DescribedCommand, describeCommands } from '../completion/describe.js'
import { fishCompletion } from '../completion/fish.js'
import { zshCompletion } from '../completion/zsh.js'
import { examples } from '../help.js'
import type { World } from '../session.js'

const SCRIPTS: Readonly<Record<string, (commands: readonly DescribedCommand[]) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
}

export function completionCommand(world: World, program: () => Command): Command {
  return new Command('completion')
    .description('a script that completes commands and options in a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(SCRIPTS)))
    .addHelpText(
      'after',
      examples(
        ['source <(flowdam completion bash)', 'in ~/.bashrc'],
        ['source <(flowdam completion zsh)', 'in ~/.zshrc, after compinit'],
        ['flowdam completion fish | source', 'in ~/.config/fish/config.fish'],
      ),
    )
    .action((shell: string) => {
      const commands = describeCommands(program())
      world.stdout.write((SCRIPTS[shell] ?? bashCompletion)(commands))
    })
}
