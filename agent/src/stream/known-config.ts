// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describeError, type Logger } from '@flowdam/common'
import { Config, type Rules } from '@flowdam/proto'
import { z } from 'zod'

/** A drop rule with its end on the wall clock: the machine may have been off meanwhile. */
const zDrop = z.object({ id: z.string(), prefix: z.string(), untilUnixMs: z.number() })
const zFile = z.object({ config: z.unknown(), drop: z.array(zDrop).default([]) })

/** An end that moves by less is not worth a write. */
const SAME_END_MS = 2000

/** What the aggregator said last, in a file, so that an agent alone goes on as it was told after a restart. */
export class KnownConfig {
  readonly #path: string
  readonly #log: Logger
  readonly #clock: () => number
  #config: Config | undefined
  #drop: z.output<typeof zDrop>[] = []

  constructor(path: string, log: Logger, clock: () => number = Date.now) {
    this.#path = path
    this.#log = log
    this.#clock = clock
  }

  /** Undefined when there is none, or none that can be read. Rules whose end has come are left out. */
  load(): { config: Config; rules: Rules } | undefined {
    try {
      const file = zFile.parse(JSON.parse(readFileSync(this.#path, 'utf8')))
      this.#config = Config.fromJSON(file.config)
      this.#drop = file.drop
      return { config: this.#config, rules: this.#rules() }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.#log.warn({ reason: describeError(error) }, 'the last known configuration cannot be read')
      }
      return undefined
    }
  }

  saveConfig(config: Config): void {
    if (this.#config && same(Config.toJSON(config), Config.toJSON(this.#config))) return
    this.#config = config
    this.#write()
  }

  saveRules({ drop }: Rules): void {
    const now = this.#clock()
    const before = this.#drop
    const known = new Map(before.map((rule) => [rule.prefix, rule]))
    this.#drop = drop.map(({ id, prefix, ttlS }) => ({ id, prefix, untilUnixMs: now + ttlS * 1000 }))
    const unchanged = this.#drop.every(({ prefix, untilUnixMs }) => {
      return Math.abs((known.get(prefix)?.untilUnixMs ?? 0) - untilUnixMs) < SAME_END_MS
    })
    if (unchanged && this.#drop.length === before.length) this.#drop = before
    else this.#write()
  }

  #rules(): Rules {
    const now = this.#clock()
    const drop = this.#drop
      .filter(({ untilUnixMs }) => untilUnixMs > now)
      .map(({ id, prefix, untilUnixMs }) => ({ id, prefix, ttlS: Math.ceil((untilUnixMs - now) / 1000) }))
    return { drop }
  }

  #write(): void {
    if (!this.#config) return
    try {
      const text = JSON.stringify({ config: Config.toJSON(this.#config), drop: this.#drop })
      mkdirSync(dirname(this.#path), { recursive: true })
      writeFileSync(`${this.#path}.new`, `${text}\n`, { flush: true })
      renameSync(`${this.#path}.new`, this.#path)
    } catch (error) {
      this.#log.warn({ reason: describeError(error) }, 'the configuration from the aggregator cannot be kept')
    }
  }
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
