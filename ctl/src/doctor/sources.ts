// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'

/** Everything that the doctor looks at, so that a test can be any machine. Nothing here can change one. */
export interface Sources {
  /** Text of a file; undefined where it is missing or closed to us. */
  read(path: string): string | undefined
  /** Names in a folder; empty where there is none. */
  list(path: string): string[]
  /** Where a symbolic link points. */
  link(path: string): string | undefined
  /** What a program prints to stdout; undefined where it is not installed or fails. */
  run(program: string, ...args: string[]): Promise<string | undefined>
  sleep(ms: number): Promise<void>
}

/** A program that hangs on a broken driver must not hang the doctor. */
const RUN_LIMIT_MS = 5_000
/** Where root's programs are, also for a person whose PATH lacks them. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin'

export const machine: Sources = {
  read(path) {
    try {
      const content = readFileSync(path)
      return (path.endsWith('.gz') ? gunzipSync(content) : content).toString('utf8')
    } catch {
      return undefined
    }
  },
  list(path) {
    try {
      return readdirSync(path).sort()
    } catch {
      return []
    }
  },
  link(path) {
    try {
      return readlinkSync(path)
    } catch {
      return undefined
    }
  },
  run(program, ...args) {
    const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${SYSTEM_PATH}`, LC_ALL: 'C' }
    return new Promise((resolve) => {
      execFile(program, args, { env, timeout: RUN_LIMIT_MS, maxBuffer: 16 * 1024 * 1024 }, (error, stdout) =>
        resolve(error ? undefined : stdout),
      )
    })
  },
  async sleep(ms) {
    await sleep(ms)
  },
}

/** A file with one number, as most of /sys and /proc/sys. */
export function readNumber(sources: Sources, path: string): number | undefined {
  const text = sources.read(path)?.trim()
  const value = text ? Number(text) : Number.NaN
  return Number.isFinite(value) ? value : undefined
}
