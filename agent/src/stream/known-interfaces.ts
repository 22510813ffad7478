// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describeError, type Logger } from '@flowdam/common'
import { z } from 'zod'

const zNames = z.array(z.string().min(1).max(15)).max(127)

/**
 * Which index means which interface, in a file beside the spool: its batches name interfaces by index, and are sent by an
 * agent whose configuration may have them in another order.
 */
export class KnownInterfaces {
  readonly #path: string
  readonly #log: Logger

  constructor(path: string, log: Logger) {
    this.#path = path
    this.#log = log
  }

  /** Names by index; none when there is no file, or none that can be read. */
  load(): readonly string[] {
    try {
      return zNames.parse(JSON.parse(readFileSync(this.#path, 'utf8')))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.#log.warn({ reason: describeError(error) }, 'the list of known interfaces cannot be read')
      }
      return []
    }
  }

  save(names: readonly string[]): void {
    try {
      const text = JSON.stringify(names)
      if (text === JSON.stringify(this.load())) return
      mkdirSync(dirname(this.#path), { recursive: true })
      writeFileSync(`${this.#path}.new`, `${text}\n`, { flush: true })
      renameSync(`${this.#path}.new`, this.#path)
    } catch (error) {
      this.#log.warn({ reason: describeError(error) }, 'the list of known interfaces cannot be kept')
    }
  }
}
