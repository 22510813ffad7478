// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs'
import { FlowdamError } from '@flowdam/common'

/** Everything that is wrong with the files, each with its place; one error at the end tells all of it. */
export class Complaints {
  /** A set: a value that is asked for twice is wrong once. */
  readonly #lines = new Set<string>()

  add(file: string, line: number, message: string): void {
    this.#lines.add(`${file}:${line}: ${message}`)
  }

  /** FD_IMPORT_INVALID if there was a complaint. */
  check(): void {
    if (this.#lines.size === 0) return
    throw new FlowdamError('FD_IMPORT_INVALID', [...this.#lines].join('\n'), {
      remedy: 'Correct these lines, or put a # before them; nothing was written.',
    })
  }
}

/** A file's lines, without what stands at their ends. FD_IMPORT_UNREADABLE. */
export function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.trim())
  } catch (cause) {
    throw new FlowdamError('FD_IMPORT_UNREADABLE', `cannot read ${file}`, { cause })
  }
}
