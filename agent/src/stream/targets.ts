// SPDX-License-Identifier: Apache-2.0
import { Backoff } from './backoff.js'

/** Between attempts when every aggregator says that it will never take us as we are: versions, records. */
const SLOW_MS = 60_000

/** After another agent with our id took over: the two would take the stream from each other many times a second. */
const REPLACED_MS = 10_000

/** Which aggregator to try next: in order, again from the first after a stream was lost, a pause after each round. */
export class Targets {
  readonly #count: number
  readonly #backoff: Backoff
  readonly #random: () => number
  #at = 0
  #hopeless = true

  constructor(count: number, random: () => number = Math.random) {
    this.#count = count
    this.#backoff = new Backoff(random)
    this.#random = random
  }

  /** Position of the one to try now. */
  get current(): number {
    return this.#at
  }

  /** An attempt failed; `hopeless` when the next would, too. Returns how long to wait, milliseconds. */
  failed(hopeless: boolean): number {
    this.#hopeless &&= hopeless
    this.#at++
    if (this.#at < this.#count) return 0
    this.#at = 0
    const waitMs = this.#hopeless ? SLOW_MS * (0.5 + this.#random() / 2) : this.#backoff.next()
    this.#hopeless = true
    return waitMs
  }

  /** There is a stream to the one at this position. */
  succeeded(at: number): void {
    this.#at = at
    this.#hopeless = true
    this.#backoff.reset()
  }

  /** Another agent with our id has the stream. Returns how long to leave it to that one, milliseconds. */
  replaced(): number {
    this.lost()
    return REPLACED_MS * (0.5 + this.#random() / 2)
  }

  /** The stream ended. Returns how long to wait before the first is tried again, milliseconds. */
  lost(): number {
    this.#at = 0
    this.#hopeless = true
    return this.#backoff.next()
  }
}
