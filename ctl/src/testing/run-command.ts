// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { run } from '../program.js'

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url))

export interface Finished {
  stdout: string
  stderr: string
  /** Exit status; null when a signal ended it. */
  status: number | null
}

export interface Running {
  child: ChildProcess
  /** Resolves as soon as stdout matches. Rejects when the command ends before it does. */
  printed(pattern: RegExp): Promise<string>
  finished: Promise<Finished>
}

/** Starts the real command as a person's shell would, in UTC and without the person's own settings. */
export function startCommand(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env['PATH'], TZ: 'UTC', USER: 'alice', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  let look = () => {}
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    look()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve({ stdout, stderr, status }))
  })
  const printed = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      look = () => {
        if (pattern.test(stdout)) resolve(stdout)
      }
      look()
      finished.then((end) => reject(new Error(`ended before ${pattern}: ${JSON.stringify(end)}`)), reject)
    })
  return { child, printed, finished }
}

export function runCommand(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return startCommand(args, env).finished
}

/** The same without a process of its own (0.3 s each), for long tables of command lines. */
export async function runInProcess(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  const written = { stdout: '', stderr: '' }
  const collect = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      written[name] += text
      return true
    },
  })
  const status = await run(args, {
    stdout: collect('stdout'),
    stderr: collect('stderr'),
    env: { USER: 'alice', ...env },
    now: () => Date.now(),
  })
  return { ...written, status }
}
