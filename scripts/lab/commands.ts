// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process'

/** Runs a short command to its end and returns its standard output; throws with its standard error. */
export function command(program: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (!error) return resolve(stdout)
      reject(new Error(`${program} ${args.join(' ')}: ${stderr.trim() || error.message}`, { cause: error }))
    })
    // The command may end without reading its input; its exit status says what went wrong.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

/** Many `ip` commands in one process, in a namespace or (without one) in ours. */
export async function ipBatch(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  const where = namespace === undefined ? [] : ['-n', namespace]
  await command('ip', [...where, '-batch', '-'], `${lines.join('\n')}\n`)
}

/** The command line that runs a program inside a namespace; the process keeps its id over it. */
export function inNamespace(namespace: string, program: string, args: readonly string[]): [string, string[]] {
  return ['ip', ['netns', 'exec', namespace, program, ...args]]
}

export function commandIn(namespace: string, program: string, args: readonly string[]): Promise<string> {
  return command(...inNamespace(namespace, program, args))
}
