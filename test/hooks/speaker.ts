// SPDX-License-Identifier: Apache-2.0
import { chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { command } from '@flowdam/scripts/lab/commands'
import { LabProcess, type ProcessOptions } from '@flowdam/scripts/lab/process'
import { waitFor } from '@flowdam/scripts/lab/wait'

/** Our side of the BGP session, run as real daemons in the edge's namespace. */
export interface SpeakerUnderTest {
  /** Written into the hook's settings file. */
  readonly settings: Readonly<Record<string, string>>
  start(): Promise<void>
  /** As a crash would: by SIGKILL. */
  kill(): Promise<void>
  stop(): Promise<void>
}

/** Where a speaker is tested. */
export interface SpeakerPlace {
  namespace: string
  /** Everybody may enter it: some daemons give up root. */
  folder: string
}

/** AS numbers and addresses of our side and of the router, as scripts/lab/gobgp.ts has them. */
export const EDGE_AS = 64500
export const ROUTER_AS = 64501

/** Daemons that start in order and end in reverse. */
export class DaemonGroup {
  readonly #options: readonly ProcessOptions[]
  #processes: LabProcess[] = []

  constructor(options: readonly ProcessOptions[]) {
    this.#options = options
  }

  /** Awaits `ready` of each before the next is started. */
  async start(ready: (process: LabProcess) => Promise<true | undefined>): Promise<void> {
    this.#processes = []
    for (const options of this.#options) {
      const daemon = new LabProcess(options)
      this.#processes.push(daemon)
      daemon.start()
      await waitFor(daemon.name, () => {
        if (!daemon.running) throw new Error(`${daemon.name} ended:\n${daemon.logTail()}`)
        return ready(daemon)
      })
    }
  }

  async kill(): Promise<void> {
    await Promise.all(this.#processes.map((daemon) => daemon.stop('SIGKILL')))
  }

  async stop(): Promise<void> {
    for (const daemon of this.#processes.toReversed()) await daemon.stop()
  }
}

/** Undefined when a command fails, for waiting until it does not. */
export async function succeeds(program: string, args: readonly string[]): Promise<true | undefined> {
  try {
    await command(program, args)
    return true
  } catch {
    return undefined
  }
}

/** A file or, without content, a folder that a daemon's own user can read and write. */
export function give(path: string, owner: { uid: number; gid: number }, content?: string): void {
  if (content === undefined) mkdirSync(path, { recursive: true })
  else writeFileSync(path, content)
  chownSync(path, owner.uid, owner.gid)
}

/** The settings file's text. */
export function settingsText(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}

export function inFolder(place: SpeakerPlace, ...names: string[]): string {
  return join(place.folder, ...names)
}
