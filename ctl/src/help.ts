// SPDX-License-Identifier: Apache-2.0
import { Help, type Option } from 'commander'

/** The examples under a command's help, their explanations aligned. */
export function examples(...lines: readonly (readonly [command: string, explanation: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length))
  const rows = lines.map(([command, explanation]) => `  ${command.padEnd(width)}  ${explanation}`.trimEnd())
  return `\nExamples:\n${rows.join('\n')}`
}

/** An option as the help has it; nothing is said about a default that means "nothing". */
export function describeOption(option: Option): string {
  const { defaultValue } = option
  const empty = defaultValue === '' || (Array.isArray(defaultValue) && defaultValue.length === 0)
  return new Help().optionDescription(option).replace(empty ? / ?\(default: (""|\[\])\)$/ : /$^/, '')
}
