// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { CommandError, usageError } from '../command-error.js'
import { EXIT } from '../exit-status.js'
import { examples } from '../help.js'
import { readPipe } from '../input/pipe.js'
import { printable } from '../output/terminal.js'
import { formatTime } from '../output/units.js'
import { inSession, type World } from '../session.js'

export function configCommand(world: World): Command {
  return new Command('config')
    .description('aggregator.yaml: show (the default), validate')
    .addCommand(showCommand(world), { isDefault: true })
    .addCommand(validateCommand(world))
}

function showCommand(world: World): Command {
  return new Command('show')
    .description('the configuration in force, with every default and without secrets')
    .addHelpText('after', examples(['flowdam config show', '']))
    .action((_options: object, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const response = await client.call(client.config.getConfig.bind(client.config), {})
        if (session.json) return session.writeJson(response)
        const { yaml, file, loadedUnixMs, needRestart } = response
        const waiting =
          needRestart.length === 0 ? '' : `# waits for a restart: ${needRestart.map(printable).join(', ')}\n`
        session.write(`# ${printable(file)}, read at ${formatTime(loadedUnixMs)}\n${waiting}${yaml}`)
      }),
    )
}

function validateCommand(world: World): Command {
  return new Command('validate')
    .description('what the aggregator would say to a file, and what would change; changes nothing')
    .argument('<file>', 'aggregator.yaml, or - for standard input')
    .addHelpText(
      'after',
      examples(['flowdam config validate aggregator.yaml && systemctl reload flowdam-aggregator', '']),
    )
    .action((file: string, _options: object, command: Command) =>
      inSession(world, command, async (session) => {
        const yaml = file === '-' ? await readPipe() : readText(file)
        const { client } = session
        const response = await client.call(client.config.validateConfig.bind(client.config), { yaml })
        const { valid, complaints, changes, needRestart } = response
        if (session.json) session.writeJson(response)
        else {
          for (const { line, column, path, message } of complaints) {
            const what = `${path === '' ? '' : `${path}: `}${message}`
            session.write(`${file}:${line}:${column}: ${printable(what)}\n`)
          }
          for (const change of changes) session.write(`${printable(change)}\n`)
          if (valid && changes.length === 0) session.write('valid; nothing would change\n')
          if (needRestart.length > 0) session.write(`at the next start: ${needRestart.join(', ')}\n`)
        }
        if (!valid) {
          throw new CommandError(
            EXIT.failed,
            'FD_CONFIG_INVALID',
            `${file}: the aggregator would not take it`,
          )
        }
      }),
    )
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw usageError(`cannot read ${file} (${cause instanceof Error ? cause.message : String(cause)})`)
  }
}
