// SPDX-License-Identifier: Apache-2.0

export interface Hook {
  name: string
  /** Absolute path and arguments; of no meaning with `url`. */
  run: readonly string[]
  /** Where the JSON document is POSTed to, instead of a process. */
  url?: string | undefined
  headers?: Readonly<Record<string, string>>
  format: 'fastnetmon' | 'json'
  timeoutMs: number
  /** Further attempts in quick succession. */
  retries: number
  /** Before the first retry; doubled before each further one. */
  backoffMs: number
  /** Between the attempts after those; 0 to give up. */
  retryEveryMs: number
  /** Between two updates while an attack lasts; 0 for none. */
  updatesMs: number
  env: Readonly<Record<string, string>>
}

/** Whether both do the same for a ban, how patiently they may be called. */
export function isSameCommand(a: Hook, b: Hook): boolean {
  const command = ({ run, url, env }: Hook) => JSON.stringify([run, url ?? '', Object.entries(env).sort()])
  return command(a) === command(b)
}
