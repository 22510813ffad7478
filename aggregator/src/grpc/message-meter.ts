// SPDX-License-Identifier: Apache-2.0

/** One byte "compressed", four bytes length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const HEADER = 5

/** Follows a gRPC stream's framing without keeping any of it. */
export class MessageMeter {
  /** Announced length of the first message, 0 before it came. */
  first = 0
  /** Greatest announced length. */
  largest = 0
  compressed = false
  /** When the message that is arriving began, milliseconds of performance.now(). */
  since = 0
  #header = 0
  #length = 0
  #arrived = 0
  #started = false
  #stopped = false

  /** Bytes of the message that is arriving. */
  get unfinished(): number {
    return this.#arrived
  }

  /** Nothing more is followed. */
  stop(): void {
    this.#stopped = true
    this.#arrived = 0
  }

  feed(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length && !this.#stopped) {
      if (this.#header < HEADER) {
        this.#readHeader(chunk[at] as number)
        at++
      } else {
        const take = Math.min(chunk.length - at, this.#length - this.#arrived)
        this.#arrived += take
        at += take
      }
      if (this.#header === HEADER && this.#arrived === this.#length) {
        this.#header = 0
        this.#arrived = 0
      }
    }
  }

  #readHeader(byte: number): void {
    if (this.#header === 0) {
      this.since = performance.now()
      this.#length = 0
      if (byte !== 0) this.compressed = true
    } else this.#length = this.#length * 256 + byte
    this.#header++
    if (this.#header < HEADER) return
    if (!this.#started) this.first = this.#length
    this.#started = true
    this.largest = Math.max(this.largest, this.#length)
  }
}
