// SPDX-License-Identifier: Apache-2.0
import type { UplinkOptions } from './uplink-options.js'
import type { UplinkStats } from './uplink-stats.js'

/** A month of batches at forty a second. */
const MOST_TAKEN = 1e8

type NumberingOptions = Pick<UplinkOptions, 'queue' | 'madeSeq' | 'numberFrom' | 'log'>

/** What an aggregator says it has, believed as far as it can be true. */
export class Numbering {
  readonly #options: NumberingOptions
  readonly #stats: UplinkStats

  constructor(options: NumberingOptions, stats: UplinkStats) {
    this.#options = options
    this.#stats = stats
  }

  /** Why a Welcome cannot be true, undefined when it can. */
  troubleOf(bootId: number, ackedSeq: number): string | undefined {
    const made = this.#made(bootId)
    if (ackedSeq <= made + MOST_TAKEN) return undefined
    return `FD_WELCOME: the aggregator says that it has batch ${ackedSeq} of ours; the newest is ${made}`
  }

  /**
   * Of the boot that is counting the aggregator has everything up to here. If that is more than we made, somebody else, a
   * clone of this machine or itself before it was set back, used our numbers: we go on behind them.
   */
  welcomed(aggregator: string, bootId: number, ackedSeq: number): void {
    const { queue, log, numberFrom } = this.#options
    const made = this.#made(bootId)
    if (ackedSeq <= made) {
      queue.acknowledge(bootId, ackedSeq)
      return
    }
    log.error(
      { aggregator, boot: bootId, made, taken: ackedSeq },
      'FD_NUMBERS_TAKEN: the aggregator has batches under numbers that this agent has not used yet; what waits here under such numbers is lost, counted as number_taken. Was this machine cloned or set back to a snapshot? Restart the agent there, and give each its own id',
    )
    queue.numbersTaken(bootId, made, ackedSeq)
    numberFrom(ackedSeq + 1)
  }

  /** Only what was sent can have arrived: an aggregator that says more must not cost us evidence. */
  acknowledged(aggregator: string | undefined, bootId: number, seq: number): void {
    const { queue, log } = this.#options
    const most = queue.ackableSeq(bootId)
    if (seq > most && this.#stats.impossibleAcks++ === 0) {
      const line = { aggregator, boot: bootId, seq, sent: most }
      log.error(
        line,
        'FD_ACK: the aggregator acknowledges what was not sent; that is not believed. Report it',
      )
    }
    queue.acknowledge(bootId, Math.min(seq, most))
  }

  #made(bootId: number): number {
    return Math.max(this.#options.madeSeq(), this.#options.queue.madeSeq(bootId))
  }
}
