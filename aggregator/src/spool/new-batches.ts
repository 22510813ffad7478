// SPDX-License-Identifier: Apache-2.0
import type { FlowBatch } from '@flowdam/proto'
import type { BatchOrigin, BatchSink } from '../contracts.js'

const MOST_BOOTS = 64

/** For those who look at batches on their way to the spool: which ones come for the first time. */
export class NewBatches {
  readonly #batches: Pick<BatchSink, 'lastSeq'>
  /** Newest seq looked at, by agent and boot: what an agent sends again is not looked at again. */
  readonly #seen = new Map<string, Map<number, number>>()

  constructor(batches: Pick<BatchSink, 'lastSeq'>) {
    this.#batches = batches
  }

  /** Says yes once for each batch. */
  isNew({ id }: BatchOrigin, { bootId, seq }: FlowBatch): boolean {
    let boots = this.#seen.get(id)
    if (!boots) {
      boots = new Map()
      this.#seen.set(id, boots)
    }
    if (seq <= Math.max(boots.get(bootId) ?? 0, this.#batches.lastSeq(id, bootId))) return false
    boots.set(bootId, seq)
    if (boots.size > MOST_BOOTS) boots.delete(Math.min(...boots.keys()))
    return true
  }
}
