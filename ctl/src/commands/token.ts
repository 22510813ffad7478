// SPDX-License-Identifier: Apache-2.0
//
// Makes lines for api.tokens of aggregator.yaml. Asks no aggregator: whoever may write that file needs no permission.
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { usageError } from '../command-error.js'
import { examples } from '../help.js'
import { readPipe } from '../input/pipe.js'
import { renderJson } from '../output/json.js'
import type { World } from '../session.js'

const ROLES = ['read', 'operate', 'admin']
const TOKEN_BYTES = 32
/** As long as nobody guesses it: 32 characters of base64 are 192 bits. */
const SHORTEST = 32

interface LineOptions {
  role: string
  until?: string
}

export function tokenCommand(world: World): Command {
  return new Command('token')
    .description('tokens for the API: create, hash')
    .addCommand(createCommand(world))
    .addCommand(hashCommand(world))
}

function createCommand(world: World): Command {
  return lineOptions(new Command('create'))
    .description('make a token, and the line for the file api.tokens')
    .argument('<name>', "the token's name, in bans and in the audit log", nameArgument)
    .option('-o, --out <file>', 'write the token to a file that only you can read, instead of showing it')
    .addHelpText(
      'after',
      examples(
        ['flowdam token create grafana --role read', ''],
        ['flowdam token create noc --role operate --out noc.token', ''],
      ),
    )
    .action((name: string, options: LineOptions & { out?: string }, command: Command) => {
      const token = `fd_${randomBytes(TOKEN_BYTES).toString('base64url')}`
      const line = lineOf(name, token, options)
      if (options.out !== undefined) writeSecret(options.out, token)
      if (command.optsWithGlobals()['json'] === true) {
        world.stdout.write(renderJson(options.out === undefined ? { token, line } : { line }, 'document'))
        return
      }
      const shown = options.out === undefined ? `token  ${token}\n       (shown only now)\n` : ''
      world.stdout.write(`${shown}line   ${line}\n`)
    })
}

function hashCommand(world: World): Command {
  return lineOptions(new Command('hash'))
    .description('the line for a token of your own, read from standard input')
    .argument('<name>', "the token's name", nameArgument)
    .addHelpText('after', examples(['pass show flowdam/noc | flowdam token hash noc --role operate', '']))
    .action(async (name: string, options: LineOptions, command: Command) => {
      const token = (await readPipe()).trim()
      if (token.length < SHORTEST || !/^[\x21-\x7e]+$/.test(token)) {
        throw usageError(`a token has at least ${SHORTEST} characters and no spaces`)
      }
      const line = lineOf(name, token, options)
      const json = command.optsWithGlobals()['json'] === true
      world.stdout.write(json ? renderJson({ line }, 'document') : `${line}\n`)
    })
}

function lineOptions(command: Command): Command {
  return command
    .addOption(new Option('--role <role>', 'what it may do').choices(ROLES).makeOptionMandatory())
    .option('--until <date>', 'the day on which it ends, such as 2027-01-31', dateOption)
}

function lineOf(name: string, token: string, { role, until }: LineOptions): string {
  const hash = createHash('sha256').update(token).digest('hex')
  return `${name} ${role} sha256:${hash}${until === undefined ? '' : ` until=${until}`}`
}

function nameArgument(text: string): string {
  if (/^[A-Za-z0-9._@-]{1,64}$/.test(text)) return text
  throw new InvalidArgumentError('A name has letters, digits and . _ @ -, at most 64.')
}

function dateOption(text: string): string {
  if (/^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))) return text
  throw new InvalidArgumentError('A date is such as 2027-01-31.')
}

/** Never over something that is there. */
function writeSecret(file: string, token: string): void {
  try {
    writeFileSync(file, `${token}\n`, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    throw usageError(
      `--out: cannot write ${file} (${cause instanceof Error ? cause.message : String(cause)})`,
    )
  }
}
