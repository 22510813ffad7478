// SPDX-License-Identifier: Apache-2.0
import type { HostDeltas, Welcome } from '@flowdam/proto'
import type { Connection } from './connection.js'
import { DeltaOutbox } from './delta-outbox.js'
import type { UplinkStats } from './uplink-stats.js'

/** Where host deltas come from; detect/deltas.ts. */
export interface DeltaSource {
  take(): HostDeltas[]
}

/** Sends host deltas at once, and again after a reconnect what nobody confirmed. */
export class DeltaSender {
  readonly #source: DeltaSource
  readonly #stats: UplinkStats
  readonly #outbox = new DeltaOutbox()
  #connection: Connection | undefined

  constructor(source: DeltaSource, stats: UplinkStats) {
    this.#source = source
    this.#stats = stats
  }

  /** Over this connection from now on, first what the aggregator did not take. */
  begin(connection: Connection, { confirmsDeltas, deltasSeq }: Welcome): void {
    this.#connection = connection
    for (const message of this.#outbox.resume(confirmsDeltas, deltasSeq)) this.#send(message)
    this.send()
  }

  pause(): void {
    this.#connection = undefined
  }

  /** What moved since. Without a stream, and while too many are unconfirmed, it goes on adding up. */
  send(): void {
    if (!this.#connection || this.#outbox.full) return
    for (const message of this.#source.take()) {
      this.#outbox.sent(message)
      this.#send(message)
    }
  }

  /** The aggregator has taken everything up to here. */
  confirm(seq: number): void {
    this.#outbox.confirm(seq)
  }

  #send(message: HostDeltas): void {
    this.#connection?.send({ $case: 'hostDeltas', value: message })
    this.#stats.sentDeltas++
  }
}
