// SPDX-License-Identifier: Apache-2.0
import type { FlowBatch } from '@flowdam/proto'
import type { AppendResult, BatchOrigin, BatchSink } from '../contracts.js'

const MOST_BOOTS = 64

/** A sink before another that may look at each batch once, before the spool changes its records in place. */
export abstract class BatchTap implements BatchSink {
  readonly #batches: BatchSink
  readonly #new: NewBatches

  constructor(batches: BatchSink) {
    this.#batches = batches
    this.#new = new NewBatches(batches)
  }

  /** Whether anybody wants to look now: while nobody does, a batch costs this question. */
  protected abstract get looks(): boolean

  protected abstract look(origin: BatchOrigin, batch: FlowBatch): void

  append(origin: BatchOrigin, batch: FlowBatch): Promise<AppendResult> {
    if (this.looks && this.#new.isNew(origin, batch)) this.look(origin, batch)
    return this.#batches.append(origin, batch)
  }

  lastSeq(agentId: string, bootId: number): number {
    return this.#batches.lastSeq(agentId, bootId)
  }

  get queueBytes(): number {
    return this.#batches.queueBytes
  }

  hasRoom(bytes: number): boolean {
    return this.#batches.hasRoom(bytes)
  }

  room(): Promise<void> {
    return this.#batches.room()
  }
}

/** Which batches come for the first time. */
class NewBatches {
  readonly #batches: Pick<BatchSink, 'lastSeq'>
  /** Newest seq looked at, by agent and boot: what an agent sends again is not looked at again. */
  readonly #seen = new Map<string, Map<number, number>>()

  constructor(batches: Pick<BatchSink, 'lastSeq'>) {
    this.#batches = batches
  }

  /** Says yes once for each batch. */
  isNew({ id }: BatchOrigin, { bootId, seq }: FlowBatch): boolean {
    let boots = this.#seen.get(id)
    if (!boots) {
      boots = new Map()
      this.#seen.set(id, boots)
    }
    if (seq <= Math.max(boots.get(bootId) ?? 0, this.#batches.lastSeq(id, bootId))) return false
    boots.set(bootId, seq)
    if (boots.size > MOST_BOOTS) boots.delete(Math.min(...boots.keys()))
    return true
  }
}
