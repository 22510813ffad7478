// SPDX-License-Identifier: Apache-2.0
import type { WatchFlowsResponse } from '@flowdam/proto'
import type { BatchOrigin } from '../../contracts.js'
import type { SourceRegistry } from '../../sources/registry.js'
import { type Matcher, RECORD_WORDS } from './matcher.js'
import { RecordShelf } from './shelf.js'

/** Takes what there is; resolves when it can take more. */
export type TakeFlows = (response: WatchFlowsResponse) => Promise<void>

/** A batch's records and what else their times and names come from. */
export interface SeenBatch {
  words: Uint32Array
  origin: BatchOrigin
  epochStartUnixMs: number
  /** Greatest first_ms that can be true. */
  limitMs: number
}

/** One who watches flows: what matched since its last turn, so much and no more. */
export class FlowWatcher {
  readonly by: string
  readonly matcher: Matcher
  readonly #take: TakeFlows
  readonly #shelf: RecordShelf
  #missed = 0
  #busy = false

  constructor(by: string, matcher: Matcher, capacity: number, take: TakeFlows) {
    this.by = by
    this.matcher = matcher
    this.#take = take
    this.#shelf = new RecordShelf(capacity)
  }

  /** Takes of the records from `from` to `to` at most so many aside in a turn, and counts the others. Allocates nothing. */
  look(
    { words, origin, epochStartUnixMs, limitMs }: SeenBatch,
    from: number,
    to: number,
    most: number,
  ): void {
    const { matcher } = this
    const shelf = this.#shelf
    for (let i = matcher.next(words, from, to); i < to; i = matcher.next(words, i + 1, to)) {
      if (shelf.used < most) shelf.put(words, i * RECORD_WORDS, origin, epochStartUnixMs, limitMs)
      else if (!matcher.takesAll) this.#missed++
      else {
        this.#missed += to - i
        return
      }
    }
  }

  /** Says that the watch has begun. */
  begin(): void {
    void this.#give({ flows: [], missed: 0 })
  }

  /** Gives what is there to who watches, unless that one still has something to read. Returns what it gave. */
  turn(sources: Pick<SourceRegistry, 'get'>): { sent: number; missed: number } {
    if (this.#busy || (this.#shelf.used === 0 && this.#missed === 0)) return { sent: 0, missed: 0 }
    const flows = this.#shelf.take(sources)
    const missed = this.#missed
    this.#missed = 0
    void this.#give({ flows, missed })
    return { sent: flows.length, missed }
  }

  async #give(response: WatchFlowsResponse): Promise<void> {
    this.#busy = true
    await this.#take(response)
    this.#busy = false
  }
}
