// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inNamespace } from '@flowdam/scripts/lab/commands'
import { ROOT } from '@flowdam/scripts/lab/root'

export interface HookEnd {
  status: number
  stdout: string
  stderr: string
  /** Date.now() when it was started. */
  startedAt: number
}

/** Runs a hook of scripts/hooks in a namespace, with a settings file of its own. */
export async function runHook(
  namespace: string,
  hook: string,
  args: readonly string[],
  input = '',
  settings: Readonly<Record<string, string>> = {},
): Promise<HookEnd> {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-hook-'))
  const config = join(folder, `${hook}.conf`)
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`)
  writeFileSync(config, lines.join(''))
  const program = join(ROOT, 'scripts', 'hooks', hook)
  const [file, argv] = inNamespace(namespace, program, ['--config', config, ...args])
  const startedAt = Date.now()
  const end = await new Promise<HookEnd>((resolve) => {
    const child = execFile(file, argv, (_error, stdout, stderr) =>
      resolve({ status: child.exitCode ?? -1, stdout, stderr, startedAt }),
    )
    // A hook need not read the report.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
  rmSync(folder, { recursive: true })
  return end
}
