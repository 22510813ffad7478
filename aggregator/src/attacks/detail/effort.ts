// SPDX-License-Identifier: Apache-2.0

/** Of records looked at closely, a third of a microsecond each: at most 5 % of a core, and 11 ms at a time. */
const PER_MS = 150
const BURST = 32_768

/**
 * How closely the records of attacks are looked at. All of them as long as there are up to 150 000 a second; of more,
 * every second, fourth, eighth, the fewer the more there are: a flood must not take the time that detection needs.
 */
export class Effort {
  readonly #clock: () => number
  #tokens = BURST
  #at: number
  #turn = 0

  /** Milliseconds, monotonic. */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock
    this.#at = clock()
  }

  /** Before each batch. */
  refill(): void {
    const now = this.#clock()
    this.#tokens = Math.min(BURST, this.#tokens + (now - this.#at) * PER_MS)
    this.#at = now
  }

  /** For how many records this one stands; 0: it is not looked at closely. */
  weigh(): number {
    const tokens = this.#tokens
    if (tokens < 1) return 0
    let every = 1
    for (let enough = BURST / 2; tokens < enough && every < 1024; enough /= 2) every *= 2
    if (++this.#turn < every) return 0
    this.#turn = 0
    this.charge()
    return every
  }

  charge(): void {
    this.#tokens--
  }
}
