// SPDX-License-Identifier: Apache-2.0

/** The examples under a command's help, their explanations aligned. */
export function examples(...lines: readonly (readonly [command: string, explanation: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length))
  const rows = lines.map(([command, explanation]) => `  ${command.padEnd(width)}  ${explanation}`.trimEnd())
  return `\nExamples:\n${rows.join('\n')}\n`
}
