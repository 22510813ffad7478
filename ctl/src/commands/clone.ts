// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { CommandError } from '../command-error.js'
import { EXIT, type ExitStatus } from '../exit-status.js'
import { examples } from '../help.js'
import { wholeNumber } from '../input/values.js'
import type { GlobalOptions, World } from '../session.js'

// What runs from a clone of the repository, beside npm: the packages have neither compiler nor traffic generator.

/** The clone that this file was built in, if it was. */
const CLONE = fileURLToPath(new URL('../../..', import.meta.url))

type ExitWith = (status: ExitStatus) => void

export function labCommand(world: World, exitWith: ExitWith, clone = CLONE): Command {
  return new Command('lab')
    .description(
      'in a clone, as root: a flood in network namespaces, its ban and its route, with a clock on everything',
    )
    .option(
      '--threshold <pps>',
      'packets per second towards one address (default: 20000)',
      atLeast('--threshold'),
    )
    .option('--flood <seconds>', 'how long the flood lasts (default: 5)', atLeast('--flood'))
    .addHelpText(
      'after',
      examples(['flowdam lab --flood 10', ''], ['flowdam --json lab | jq .ok', 'for a program']),
    )
    .action(async (options: { threshold?: number; flood?: number }, command: Command) => {
      const json = command.optsWithGlobals<GlobalOptions>().json ? ['--json'] : []
      exitWith(await run(world, clone, 'lab', [...json, ...numbers(options)]))
    })
}

export function benchCommand(world: World, exitWith: ExitWith, clone = CLONE): Command {
  return new Command('bench')
    .description('in a clone, as root: measure this machine, each figure beside a reference')
    .argument('[figures...]', 'which (default: all; a wrong one lists them)')
    .option('--seconds <number>', 'how long the long ones run', atLeast('--seconds'))
    .option('--rows <number>', 'flows that store.query.100m looks through', atLeast('--rows'))
    .addHelpText(
      'after',
      examples(
        ['flowdam bench detector.tick.1m', ''],
        ['flowdam --json bench drain', 'the table goes to stderr then'],
      ),
    )
    .action(async (figures: string[], options: { seconds?: number; rows?: number }, command: Command) => {
      const json = command.optsWithGlobals<GlobalOptions>().json ? ['--json', '-'] : []
      exitWith(await run(world, clone, 'bench', [...json, ...numbers(options), '--', ...figures]))
    })
}

function atLeast(option: string) {
  return wholeNumber(option, 1, 1e12)
}

function numbers(options: Readonly<Record<string, number | undefined>>): string[] {
  return Object.entries(options).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, String(value)],
  )
}

/** Its output is ours, and so is its verdict. It ends by itself, and takes down what it made, on a signal to us. */
function run(world: World, clone: string, name: string, args: readonly string[]): Promise<ExitStatus> {
  const script = join(clone, 'scripts/dist', name, 'main.js')
  if (!existsSync(script)) {
    throw new CommandError(EXIT.failed, 'FD_NO_CLONE', `'${name}' runs in a clone of the repository only`, {
      remedy: `clone it, run 'npm run setup' there, then 'npx flowdam ${name}'`,
    })
  }
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.setEncoding('utf8').on('data', (text: string) => world.stdout.write(text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => world.stderr.write(text))
  const pass = (signal: NodeJS.Signals) => child.kill(signal)
  process.on('SIGINT', pass).on('SIGTERM', pass)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      process.off('SIGINT', pass).off('SIGTERM', pass)
      resolve(code === EXIT.ok || code === EXIT.usage ? code : EXIT.failed)
    })
  })
}
