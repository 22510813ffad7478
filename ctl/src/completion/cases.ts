// SPDX-License-Identifier: Apache-2.0
//
// What bash and zsh have in common: both take `case`.
import type { DescribedCommand, DescribedOption } from './describe.js'

export const FILE_OPTIONS = ['--ca', '--cert', '--key', '--token-file', '--out']

/** Each word that leads to a subcommand; `variable` holds the words so far. */
export function subcommandCases(commands: readonly DescribedCommand[], variable: string): string {
  return commands
    .flatMap(({ path, subcommands }) =>
      subcommands.map(({ name }) => `      '${path} ${name}') ${variable}='${`${path} ${name}`.trim()}' ;;`),
    )
    .join('\n')
}

/** Behind an option that takes a value: what `reply` offers, but never the next option. */
export function valueCases(
  commands: readonly DescribedCommand[],
  reply: (option: DescribedOption) => string,
): string {
  return commands
    .flatMap(({ path, options }) =>
      options
        .filter(({ takesValue }) => takesValue)
        .map((option) => {
          const patterns = option.flags.map((flag) => `'${path} ${flag}'`).join(' | ')
          return `    ${patterns}) ${reply(option)} return ;;`
        }),
    )
    .join('\n')
}
