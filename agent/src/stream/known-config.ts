// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describeError, type Logger } from '@flowdam/common'
import { Config } from '@flowdam/proto'

/** What the aggregator said last, in a file, so that an agent alone detects for the right networks after a restart. */
export class KnownConfig {
  readonly #path: string
  readonly #log: Logger
  #text = ''

  constructor(path: string, log: Logger) {
    this.#path = path
    this.#log = log
  }

  /** Undefined when there is none, or none that can be read. */
  load(): Config | undefined {
    try {
      this.#text = readFileSync(this.#path, 'utf8')
      return Config.fromJSON(JSON.parse(this.#text))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.#log.warn({ reason: describeError(error) }, 'the last known configuration cannot be read')
      }
      return undefined
    }
  }

  save(config: Config): void {
    const text = `${JSON.stringify(Config.toJSON(config))}\n`
    if (text === this.#text) return
    try {
      mkdirSync(dirname(this.#path), { recursive: true })
      writeFileSync(`${this.#path}.new`, text, { flush: true })
      renameSync(`${this.#path}.new`, this.#path)
      this.#text = text
    } catch (error) {
      this.#log.warn({ reason: describeError(error) }, 'the configuration from the aggregator cannot be kept')
    }
  }
}
