// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { RefusedMessage } from '@flowdam/proto'
import { TokenBucket } from '../count/token-bucket.js'
import type { BatchQueue } from './batch-queue.js'
import type { DeltaSender } from './delta-sender.js'

/** Damage is rare; more than this is a defect, of the aggregator perhaps, and no reason to give all evidence up. */
const MOST_REFUSALS = { atOnce: 16, perSecond: 1 / 60 }

/** What an aggregator refuses by name is set aside, as long as it can be single messages that it means. */
export class Refusals {
  readonly #queue: BatchQueue
  readonly #deltas: DeltaSender
  readonly #log: Logger
  readonly #left = new TokenBucket(MOST_REFUSALS.perSecond, MOST_REFUSALS.atOnce)

  constructor(queue: BatchQueue, deltas: DeltaSender, log: Logger) {
    this.#queue = queue
    this.#deltas = deltas
    this.#log = log
  }

  /** Whether the message will not be sent again: then there is nothing to wait for. */
  async setAside(refused: RefusedMessage, reason: string, by: string): Promise<boolean> {
    if (this.#left.tokens < 1) {
      this.#log.error(
        { aggregator: by, reason },
        'FD_SET_ASIDE_LIMIT: the aggregator refuses so much that it cannot be single messages; nothing more is set aside, batches wait. Do both run the same version?',
      )
      return false
    }
    const done =
      refused.kind === 'deltas'
        ? this.#deltas.refuse(refused.seq, reason, by)
        : await this.#queue.refuse(refused.bootId, refused.seq, reason, by)
    if (done) this.#left.charge(1)
    return done
  }
}
