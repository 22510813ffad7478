// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises'
import { type Engine, quote } from './engine.js'

const EVERY_MS = 10_000
const LIMITS = { timeoutMs: 10_000, maxMemoryBytes: 256e6 }

/** How many parts the table of flows is in: what grows when merges cannot follow the inserts. */
export class PartCount {
  readonly #engine: Engine
  readonly #table: string
  #abort = new AbortController()
  #working: Promise<void> | undefined
  #value = 0

  /** `table` without its database. */
  constructor(engine: Engine, table: string) {
    this.#engine = engine
    this.#table = table
  }

  /** The last known. */
  get value(): number {
    return this.#value
  }

  start(): void {
    this.#abort = new AbortController()
    this.#working = this.#work(this.#abort.signal)
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#working
  }

  async #work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // What keeps this from being answered keeps inserts from it too, and is said there.
      await this.#look().catch(() => undefined)
      await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  async #look(): Promise<void> {
    const [row] = await this.#engine.query<{ parts: number | string }>(
      `SELECT count() AS parts FROM system.parts WHERE active AND database = ${quote(this.#engine.database)} AND table = ${quote(this.#table)}`,
      {},
      LIMITS,
    )
    this.#value = Number(row?.parts ?? 0)
  }
}
