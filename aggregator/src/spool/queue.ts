// SPDX-License-Identifier: Apache-2.0
import type { AppendResult, BatchOrigin } from '../contracts.js'
import type { Losses } from './losses.js'
import type { Pending } from './pending.js'

/** Batches in memory on their way to the disk, in the order in which they came. */
export class BatchQueue {
  #pending: Pending[] = []
  #bytes = 0
  /** Entries at the head that are being written, and must stay as they are. */
  #inFlight = 0
  readonly #waiting: (() => void)[] = []

  /** Of records. */
  get bytes(): number {
    return this.#bytes
  }

  get length(): number {
    return this.#pending.length
  }

  /** Bytes of the first batch's records; 0 when there is none. */
  get firstBytes(): number {
    return this.#pending[0]?.records?.length ?? 0
  }

  /** Those that a group can be made of; for looking only. */
  get entries(): readonly Pending[] {
    return this.#pending
  }

  push(pending: Pending): void {
    this.#pending.push(pending)
    this.#bytes += pending.records?.length ?? 0
  }

  /**
   * A run of dropped batches is one entry, so that a long outage of the disk does not fill the memory. Nothing when the
   * last entry is no such run.
   */
  joinDropped(
    origin: BatchOrigin,
    boot: number,
    seq: number,
    rows: number,
    losses: Losses,
  ): Promise<AppendResult> | undefined {
    const last = this.#pending.at(-1)
    if (!last || this.#pending.length <= this.#inFlight) return undefined
    if (last.dropped === 0 || last.origin !== origin || last.boot !== boot) return undefined
    last.seq = seq
    last.dropped += rows
    last.losses?.merge(losses.toJSON())
    return last.done
  }

  /** The first `count` are being written, or nothing is. */
  hold(count: number): void {
    this.#inFlight = count
  }

  /** Takes the first `count` out, which are written. */
  remove(count: number): Pending[] {
    const written = this.#pending.splice(0, count)
    for (const { records } of written) this.#bytes -= records?.length ?? 0
    this.wake()
    return written
  }

  rejectAll(error: Error): void {
    for (const pending of this.#pending) pending.reject(error)
    this.#pending = []
    this.#bytes = 0
  }

  /** Resolves when the queue has become shorter, or by wake(). */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}
