// SPDX-License-Identifier: Apache-2.0
import { describeError, type Logger } from '@flowdam/common'
import type { Ban } from './ban.js'

export type BanEventName = 'state' | 'ban' | 'level' | 'unban' | 'hook' | 'extend'

export interface BanEvent {
  event: BanEventName
  atUnixMs: number
  ban: Ban
}

/** Those who want to know of each change. */
export class BanWatchers {
  readonly #clock: () => number
  readonly #log: Logger
  readonly #listeners = new Set<(event: BanEvent) => void>()

  constructor(clock: () => number, log: Logger) {
    this.#clock = clock
    this.#log = log
  }

  /** Calls back until the returned function is called. */
  add(listener: (event: BanEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** One that throws must keep neither the ban nor the others from what they do. */
  tell(event: BanEventName, ban: Ban): void {
    for (const listener of this.#listeners) {
      try {
        listener({ event, atUnixMs: this.#clock(), ban })
      } catch (error) {
        this.#log.error({ ban: ban.id, err: describeError(error) }, 'somebody could not be told of a ban')
      }
    }
  }
}
