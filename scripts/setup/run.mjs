// SPDX-License-Identifier: Apache-2.0
//
// Running programs: quietly, with their output shown only when they fail.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's root. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Something the person at the terminal can mend; the message says how. */
export class SetupError extends Error {}

// cargo installs below its own home, and sbin is not on everybody's PATH.
export const CARGO_BIN = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'bin')
export const PATH = [process.env.PATH, CARGO_BIN, '/usr/local/sbin', '/usr/sbin', '/sbin'].join(delimiter)

/** The full path of a program, or undefined. */
export function which(program) {
  for (const folder of PATH.split(delimiter)) {
    const file = join(folder, program)
    if (!existsSync(file)) continue
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // There, but not for us: keep looking.
    }
  }
  return undefined
}

function start(program, args, options) {
  return spawnSync(program, args, {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    ...options,
    env: { ...process.env, PATH, LC_ALL: 'C.UTF-8', ...options.env },
  })
}

/** What a program prints, or undefined when it cannot be started or fails. */
export function output(program, args, options = {}) {
  const result = start(program, args, { stdio: ['ignore', 'pipe', 'ignore'], ...options })
  return result.status === 0 ? result.stdout : undefined
}

/** Runs a program to its end; its output appears only in the error. */
export function run(program, args, options = {}) {
  const result = start(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  if (result.status === 0) return
  const said = `${result.stdout ?? ''}${result.stderr ?? ''}`.trimEnd().split('\n').slice(-40).join('\n')
  const how =
    result.error?.message ?? (result.signal ? `ended by ${result.signal}` : `exit status ${result.status}`)
  throw new SetupError(`${program} ${args.join(' ')}: ${how}\n${said}`)
}
