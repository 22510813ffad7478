// SPDX-License-Identifier: Apache-2.0
import type { HostDeltas } from '@flowdam/proto'

/** Beyond either the messages to come add up in the table instead: several round trips at the worst flood. */
const MOST_BYTES = 16 << 20
const MOST_MESSAGES = 1024

/**
 * Host deltas that were sent and not confirmed. They are few, and kept as they are: after a reconnect they are sent
 * again under the same seq, and the aggregator takes each once.
 */
export class DeltaOutbox {
  #messages: HostDeltas[] = []
  #bytes = 0
  #confirmed = false

  /** Messages that nobody has confirmed. */
  get unconfirmed(): number {
    return this.#messages.length
  }
  /** Nothing more should be sent now. */
  get full(): boolean {
    return this.#bytes >= MOST_BYTES || this.#messages.length >= MOST_MESSAGES
  }

  /** A new stream. Returns what has to be sent again. */
  resume(confirms: boolean, seq: number): readonly HostDeltas[] {
    this.#confirmed = confirms
    if (confirms) this.confirm(seq)
    const again = this.#messages
    if (!confirms) {
      this.#messages = []
      this.#bytes = 0
    }
    return again
  }

  sent(message: HostDeltas): void {
    if (!this.#confirmed) return
    this.#messages.push(message)
    this.#bytes += message.entries.length
  }

  /** Takes one out, which is not to be sent again. */
  remove(seq: number): HostDeltas | undefined {
    const at = this.#messages.findIndex((message) => message.seq === seq)
    const [message] = at < 0 ? [] : this.#messages.splice(at, 1)
    this.#bytes -= message?.entries.length ?? 0
    return message
  }

  confirm(seq: number): void {
    let count = 0
    for (let message = this.#messages[0]; message && message.seq <= seq; message = this.#messages[++count]) {
      this.#bytes -= message.entries.length
    }
    this.#messages.splice(0, count)
  }
}
