// SPDX-License-Identifier: Apache-2.0
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
  readonly #listeners = new Set<(event: BanEvent) => void>()

  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** Calls back until the returned function is called. */
  add(listener: (event: BanEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(event: BanEventName, ban: Ban): void {
    for (const listener of this.#listeners) listener({ event, atUnixMs: this.#clock(), ban })
  }
}
