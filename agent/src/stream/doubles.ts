// SPDX-License-Identifier: Apache-2.0

/** Batches of which it is not known whether an aggregator has them; older ones stay "maybe". */
const MOST_OPEN = 4096

interface Open {
  /** The aggregator that never answered. */
  at: number
  bootId: number
  seq: number
  records: number
}

/**
 * Batches that went to one aggregator without an answer and then to another. Where the two share no store, those that
 * the first had taken are stored twice; it says so when it is back.
 */
export class Doubles {
  /** Records that may be stored twice, since start. */
  maybe = 0
  /** Of these, those that are: the first aggregator had taken them. */
  certain = 0
  #open: Open[] = []

  resent(batch: { bootId: number; seq: number; records: number }, from: number): void {
    this.maybe += batch.records
    this.#open.push({ ...batch, at: from })
    if (this.#open.length > MOST_OPEN) this.#open.shift()
  }

  /** What an aggregator has of a boot. */
  learn(at: number, bootId: number, ackedSeq: number): void {
    this.#open = this.#open.filter((open) => {
      if (open.at !== at || open.bootId !== bootId) return true
      if (open.seq <= ackedSeq) this.certain += open.records
      else this.maybe -= open.records
      return false
    })
  }
}
