// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, nearest, parseHostPort, VERSION } from '@flowdam/common'
import { Command, CommanderError, Option } from 'commander'
import { CommandError, usageError } from './command-error.js'
import { agentsCommand } from './commands/agents.js'
import { attacksCommand } from './commands/attacks.js'
import { auditCommand } from './commands/audit.js'
import { bansCommand } from './commands/bans.js'
import { baselineCommand } from './commands/baseline.js'
import { benchCommand, labCommand } from './commands/clone.js'
import { completionCommand } from './commands/completion.js'
import { configCommand } from './commands/config.js'
import { doctorCommand } from './commands/doctor.js'
import { explainCommand } from './commands/explain.js'
import { flowsCommand } from './commands/flows.js'
import { hostCommand } from './commands/host.js'
import { importCommand } from './commands/import.js'
import { statusCommand } from './commands/status.js'
import { talkersCommand } from './commands/talkers.js'
import { tokenCommand } from './commands/token.js'
import { topCommand } from './commands/top.js'
import { watchCommand } from './commands/watch.js'
import { EXIT, type ExitStatus } from './exit-status.js'
import { describeOption, examples } from './help.js'
import { durationOption } from './input/values.js'
import type { World } from './session.js'

const DEFAULT_SERVER = '127.0.0.1:50060'

/** Runs one command line (without `node` and the script) and says with which status to exit. */
export async function run(args: readonly string[], world: World): Promise<ExitStatus> {
  let status: ExitStatus = EXIT.ok
  const program = buildProgram(world, (worst) => {
    status = worst
  })
  try {
    await program.parseAsync([...args], { from: 'user' })
    return status
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    world.stderr.write(renderError(error, args.includes('--json')))
    return error instanceof CommandError ? error.exitStatus : EXIT.failed
  }
}

/** All commands, writing to `world`; a command that has a verdict of its own (doctor) gives it to `exitWith`. */
export function buildProgram(world: World, exitWith: (status: ExitStatus) => void): Command {
  const program = new Command('flowdam')
    .description('Flowdam from the command line: traffic, flows, bans, and the health of what counts them.')
    .version(`flowdam ${VERSION}`, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addOption(
      new Option('-s, --server <host:port>', "the aggregator's API")
        .env('FLOWDAM_SERVER')
        .default(DEFAULT_SERVER)
        .argParser(serverOption),
    )
    .option('--json', 'print JSON: one document, or one object per line in a watch')
    .option(
      '--timeout <time>',
      'longest wait for an answer (default: 5s, for flows and talkers 60s)',
      durationOption,
    )
    .addOption(
      new Option(
        '--token-file <file>',
        'a file with a token for the API (FLOWDAM_TOKEN: the token itself)',
      ).env('FLOWDAM_TOKEN_FILE'),
    )
    .option('--insecure', 'send the token in plaintext, to another machine too')
    .addOption(
      new Option('--ca <file>', "TLS: the authority of the aggregator's certificate").env('FLOWDAM_CA'),
    )
    .addOption(new Option('--cert <file>', 'TLS: our certificate').env('FLOWDAM_CERT'))
    .addOption(new Option('--key <file>', "TLS: our certificate's key").env('FLOWDAM_KEY'))
    .configureOutput({
      writeOut: (text) => world.stdout.write(text),
      writeErr: (text) => world.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'flowdam: ')),
      getOutHelpWidth: () => (world.stdout.isTTY ? world.stdout.columns || 80 : 100),
    })
    .configureHelp({ optionDescription: describeOption })
    .exitOverride()
    .showHelpAfterError('(--help says how)')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText(
      'after',
      examples(
        ['flowdam status', 'is everything well?'],
        ['flowdam top --watch', 'the busiest hosts, every second'],
        ['flowdam explain 203.0.113.5', 'why it is banned, or how far from it'],
        ['flowdam bans add 203.0.113.5 --duration 30m', 'blackhole it for half an hour'],
        ['flowdam flows --since 5m --dst 203.0.113.5', 'who sent to it'],
        ['flowdam doctor', 'is this machine ready to count?'],
      ) + EXIT_HELP,
    )
  const commands = [
    statusCommand(world),
    agentsCommand(world),
    topCommand(world),
    hostCommand(world),
    explainCommand(world),
    bansCommand(world),
    attacksCommand(world),
    baselineCommand(world),
    flowsCommand(world),
    talkersCommand(world),
    watchCommand(world),
    configCommand(world),
    auditCommand(world),
    tokenCommand(world),
    doctorCommand(world, exitWith),
    importCommand(world),
    labCommand(world, exitWith),
    benchCommand(world, exitWith),
    completionCommand(world, () => program),
  ]
  for (const command of commands) program.addCommand(inheritSettings(command, program))
  return program
}

const EXIT_HELP = `

Exit status: 0 done, 1 the aggregator refused or it was not found, 2 wrong usage, 3 no aggregator reached.
`

/** addCommand() copies no settings from the parent, unlike command(). */
function inheritSettings(command: Command, parent: Command): Command {
  command
    .copyInheritedSettings(parent)
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', '\nOptions of every command (--server, --json, --timeout, …): flowdam --help')
  if (command.commands.length > 0) nameUnknown(command)
  for (const sub of command.commands) inheritSettings(sub, command)
  return command
}

/** A word that is no subcommand would go to the default one, which has no use for it and complains in its own name. */
function nameUnknown(command: Command): void {
  command.hook('preSubcommand', (group, sub) => {
    const [word] = group.args
    const names = group.commands.map((known) => known.name())
    const isKnown = group.commands.some(
      (known) => known.name() === word || known.aliases().includes(word ?? ''),
    )
    if (word === undefined || word.startsWith('-') || isKnown || sub.registeredArguments.length > 0) return
    const near = nearest(word, names)
    const hint = near ? `did you mean '${group.name()} ${near}'?` : `there are ${names.join(', ')}`
    throw usageError(`unknown command '${group.name()} ${word}'; ${hint}`)
  })
}

function serverOption(text: string): string {
  try {
    parseHostPort(text)
    return text
  } catch {
    throw usageError(`--server: '${text}' is not HOST:PORT, such as ${DEFAULT_SERVER} or [::1]:50060`)
  }
}

function renderError(error: unknown, json: boolean): string {
  if (!FlowdamError.is(error)) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return `flowdam: this should not happen; please report it:\n${detail}\n`
  }
  if (json) {
    const { code, message, remedy } = error
    return `${JSON.stringify({ error: { code, message, ...(remedy && { remedy }) } })}\n`
  }
  const isUsage = error instanceof CommandError && error.exitStatus === EXIT.usage
  const remedy = error.remedy ? `\n  ${error.remedy}` : ''
  return `flowdam: ${isUsage ? '' : `${error.code}: `}${error.message}${remedy}\n`
}
