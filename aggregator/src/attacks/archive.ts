// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import { RowArchive } from '../archive.js'
import type { Store } from '../store/store.js'
import type { Attacks } from './attacks.js'
import { ABANDONED_MS, attackRow, endAbandoned } from './history.js'

export interface AttackArchiveOptions {
  attacks: Attacks
  store: Store
  /** Writes a row of the table `attacks`; fails while the store is not open. */
  record: (row: object) => Promise<void>
  log: Logger
}

/** Keeps each attack's last state in the table `attacks`, and ends rows that nobody follows any more. */
export class AttackArchive {
  readonly #options: AttackArchiveOptions
  readonly #rows: RowArchive
  #sweep: NodeJS.Timeout | undefined

  constructor(options: AttackArchiveOptions) {
    this.#options = options
    this.#rows = new RowArchive('attacks', options.record, options.log)
  }

  start(): void {
    const { attacks, store, record } = this.#options
    attacks.watch(({ attack, atUnixMs }) => this.#rows.put(attack.id, attackRow(attack, atUnixMs)))
    const sweep = () => endAbandoned(store, record).catch(() => undefined)
    this.#sweep = setInterval(sweep, ABANDONED_MS)
    this.#sweep.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweep)
    await this.#rows.stop()
  }
}
