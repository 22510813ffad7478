// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import {
  DELTA_SIZE,
  deltasTrouble,
  type HostDeltas,
  MAX_COUNT,
  type Totals,
  type Welcome,
} from '@flowdam/proto'
import type { Connection } from './connection.js'
import type { DeadLetters } from './dead-letters.js'
import { DeltaOutbox } from './delta-outbox.js'
import type { UplinkStats } from './uplink-stats.js'

/** Where host deltas come from; detect/deltas.ts. */
export interface DeltaSource {
  take(): HostDeltas[]
  /** The next message has at least the number behind this one. */
  skipTo(seq: number): void
}

/** Beyond this a number is nonsense, and must not become ours. */
const MOST_SEQ = 2 ** 50

export interface DeltaSenderOptions {
  deadLetters?: DeadLetters | undefined
  log: Logger
}

/** Sends host deltas at once, and again after a reconnect what nobody confirmed. */
export class DeltaSender {
  readonly #source: DeltaSource
  readonly #stats: UplinkStats
  readonly #options: DeltaSenderOptions
  readonly #outbox = new DeltaOutbox()
  /** Newest number given. */
  #newest = 0
  #connection: Connection | undefined

  constructor(source: DeltaSource, stats: UplinkStats, options: DeltaSenderOptions) {
    this.#source = source
    this.#stats = stats
    this.#options = options
  }

  /** Over this connection from now on, first what the aggregator did not take. */
  begin(connection: Connection, { confirmsDeltas, deltasSeq }: Welcome): void {
    this.#connection = connection
    // Another process of this run (a machine that was cloned, or set back) was further: ours would count as known.
    if (confirmsDeltas && deltasSeq > this.#newest && deltasSeq < MOST_SEQ) this.#source.skipTo(deltasSeq)
    for (const message of this.#outbox.resume(confirmsDeltas, deltasSeq)) this.#send(message)
    this.send()
  }

  pause(): void {
    this.#connection = undefined
  }

  /** What moved since. Without a stream, and while too many are unconfirmed, it goes on adding up. */
  send(): void {
    if (!this.#connection || this.#outbox.full) return
    for (const taken of this.#source.take()) {
      const message = bounded(taken)
      this.#newest = message.seq
      const trouble = deltasTrouble(message)
      if (trouble) {
        this.#keep(message, trouble, 'this agent')
        continue
      }
      this.#outbox.sent(message)
      this.#send(message)
    }
  }

  /** An aggregator cannot take this message: it is set aside. False when it is not there any more. */
  refuse(seq: number, reason: string, by: string): boolean {
    const message = this.#outbox.remove(seq)
    if (message) this.#keep(message, reason, by)
    return message !== undefined
  }

  /** The aggregator has taken everything up to here. */
  confirm(seq: number): void {
    this.#outbox.confirm(seq)
  }

  #send(message: HostDeltas): void {
    this.#connection?.send({ $case: 'hostDeltas', value: message })
    this.#stats.sentDeltas++
  }

  #keep(message: HostDeltas, reason: string, by: string): void {
    const { deadLetters, log } = this.#options
    const { seq, entries, incoming, outgoing } = message
    const packets = (incoming?.packets ?? 0) + (outgoing?.packets ?? 0)
    const bytes = (incoming?.bytes ?? 0) + (outgoing?.bytes ?? 0)
    const line = { seq, entries: entries.length / DELTA_SIZE, packets, bytes, reason, by }
    this.#stats.setAsideDeltas++
    log.error(
      { ...line, file: deadLetters?.path },
      'FD_SET_ASIDE: host deltas are malformed; detection does not see them, they are kept in the file. If it happens again, check the memory of this machine, and report it with the file',
    )
    void deadLetters?.keep({ what: 'deltas', reason, by, seq, packets, bytes, content: entries })
  }
}

/** What adds up while no aggregator answers may outgrow a message: 25 hours at 100 Gbit/s. No window reaches so far back. */
function bounded(message: HostDeltas): HostDeltas {
  const { incoming, outgoing } = message
  if (!isBeyond(incoming) && !isBeyond(outgoing)) return message
  return { ...message, incoming: atMost(incoming), outgoing: atMost(outgoing) }
}

function isBeyond(totals: Totals | undefined): boolean {
  return totals !== undefined && Math.max(totals.packets, totals.bytes, totals.flows) > MAX_COUNT
}

function atMost(totals: Totals | undefined): Totals | undefined {
  if (!totals) return undefined
  const { packets, bytes, flows } = totals
  return {
    packets: Math.min(MAX_COUNT, packets),
    bytes: Math.min(MAX_COUNT, bytes),
    flows: Math.min(MAX_COUNT, flows),
  }
}
