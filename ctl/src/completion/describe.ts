// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander'

export interface DescribedOption {
  /** `--limit` and `-n`. */
  flags: string[]
  description: string
  takesValue: boolean
  choices: readonly string[]
}

export interface DescribedCommand {
  /** The words that lead to it: '' for flowdam itself, 'bans', 'bans add'. */
  path: string
  subcommands: { name: string; description: string }[]
  options: DescribedOption[]
  /** Values of the first argument, when they are known. */
  choices: readonly string[]
}

/** Every command with what may follow it, from the very definitions that parse the command line. */
export function describeCommands(program: Command): DescribedCommand[] {
  return describe(program, '', [])
}

function describe(command: Command, path: string, inherited: DescribedOption[]): DescribedCommand[] {
  const own = command
    .createHelp()
    .visibleOptions(command)
    .map((option) => ({
      flags: [option.long, option.short].filter((flag) => flag !== undefined && flag !== null),
      description: option.description,
      takesValue: option.required || option.optional,
      choices: option.argChoices ?? [],
    }))
  const options = [...own, ...inherited.filter((option) => !isShadowed(option, own))]
  const described: DescribedCommand = {
    path,
    subcommands: command.commands.map((sub) => ({ name: sub.name(), description: sub.description() })),
    options,
    choices: command.registeredArguments[0]?.argChoices ?? [],
  }
  const below = command.commands.flatMap((sub) => describe(sub, `${path} ${sub.name()}`.trim(), options))
  return [described, ...below]
}

function isShadowed(option: DescribedOption, by: DescribedOption[]): boolean {
  return by.some(({ flags }) => flags.some((flag) => option.flags.includes(flag)))
}
