// SPDX-License-Identifier: Apache-2.0
import { VERSION } from '@flowdam/common'
import type { Command } from 'commander'

/** The manual page flowdam(1), from the very definitions that parse the command line. */
export function manualPage(program: Command): string {
  const help = program.createHelp()
  const parts = [
    `.\\" Written by scripts/man-page.mjs from the command's own definitions.`,
    `.TH FLOWDAM 1 "" "Flowdam ${VERSION}" "User Commands"`,
    '.SH NAME',
    `flowdam \\- ${roff(program.description())}`,
    '.SH SYNOPSIS',
    '.B flowdam',
    '[\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]',
    '.SH OPTIONS',
    'Of every command, before or behind its name.',
    ...help.visibleOptions(program).map(describeOption),
    '.SH COMMANDS',
    ...program.commands.flatMap((command) => describeCommand(command, 'flowdam')),
    '.SH EXIT STATUS',
    term('0', 'Done. A watch that was ended by Ctrl\\-C or SIGTERM, too.'),
    term(
      '1',
      'The aggregator refused, or what was asked for does not exist; \\fBdoctor\\fR: there is a problem.',
    ),
    term('2', 'The command line is wrong.'),
    term('3', 'No aggregator could be reached, or the connection was lost.'),
    '.SH ENVIRONMENT',
    term('FLOWDAM_TOKEN', 'The token itself; a \\fB\\-\\-token\\-file\\fR comes first.'),
    ...program.options
      .filter(({ envVar }) => envVar !== undefined)
      .map(({ envVar, flags }) => term(envVar ?? '', `As \\fB${roff(flags)}\\fR.`)),
    term('NO_COLOR', 'Any value but the empty one: no colours. There are none in a pipe either.'),
    term('COLUMNS', 'Width of tables where the output is no terminal.'),
    '.SH SEE ALSO',
    'docs/command.md shows each command with what it prints; docs/api.md is about tokens and roles.',
  ]
  return `${parts.join('\n')}\n`
}

function describeCommand(command: Command, path: string): string[] {
  const full = `${path} ${command.name()}`
  const help = command.createHelp()
  const below = command.commands.flatMap((sub) => describeCommand(sub, full))
  // A group of commands does what its default one does, which is described below it.
  if (below.length > 0) return [`.SS ${roff(full)}`, sentence(command.description()), ...below]
  const words = command.registeredArguments.map((argument) => {
    const word = `\\fI${roff(argument.name())}\\fR`
    return argument.required ? word : `[${word}]`
  })
  const options = help.visibleOptions(command).filter(({ long }) => long !== '--help')
  return [
    `.SS ${roff(full)} ${[...words, ...(options.length > 0 ? ['[\\fIoptions\\fR]'] : [])].join(' ')}`.trimEnd(),
    sentence(command.description()),
    ...options.map(describeOption),
  ]
}

function describeOption(option: {
  flags: string
  description: string
  argChoices?: string[] | undefined
  defaultValue?: unknown
  defaultValueDescription?: string | undefined
}): string {
  const notes = [
    ...(option.argChoices ? [option.argChoices.join(', ')] : []),
    ...(option.defaultValue === undefined || option.defaultValue === ''
      ? []
      : [`default ${option.defaultValueDescription ?? String(option.defaultValue)}`]),
  ]
  const text = `${option.description}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`
  return term(roff(option.flags), sentence(text))
}

function term(name: string, text: string): string {
  return `.TP\n.B ${name}\n${text}`
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1)
  return roff(/[.!?]$/.test(first) ? first : `${first}.`)
}

/** Backslashes and hyphens as roff wants them; no line may begin with a control character. */
function roff(text: string): string {
  const plain = text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('…', '...')
  return /^[.']/.test(plain) ? `\\&${plain}` : plain
}
