// SPDX-License-Identifier: Apache-2.0
import type { RecordSums } from '@flowdam/proto'

/** Flow detail that agents gave up (as their batches say), and that this spool did. */
export const LOSS_REASONS = {
  agent: ['queue_full', 'spool_slow', 'spool_failed', 'spool_full', 'spool_damaged', 'refused', 'other'],
  spool: ['full', 'queue_full'],
} as const

export type LossStage = keyof typeof LOSS_REASONS

/** {stage/reason: [records, packets, bytes]}, as a sidecar holds it. */
export type LossTable = Record<string, [records: number, packets: number, bytes: number]>

/** What was given up, by stage and reason. Durable with the positions, so that it counts exactly what positions skip. */
export class Losses {
  readonly #sums = new Map<string, LossTable[string]>()

  add(stage: LossStage, reason: string, { records, packets, bytes }: RecordSums): void {
    const known = (LOSS_REASONS[stage] as readonly string[]).includes(reason)
    this.merge({ [`${stage}/${known ? reason : 'other'}`]: [records, packets, bytes] })
  }

  merge(table: LossTable = {}): void {
    for (const [key, [records, packets, bytes]] of Object.entries(table)) {
      const before = this.#sums.get(key) ?? [0, 0, 0]
      this.#sums.set(key, [before[0] + records, before[1] + packets, before[2] + bytes])
    }
  }

  get(stage: LossStage, reason: string): RecordSums {
    const [records, packets, bytes] = this.#sums.get(`${stage}/${reason}`) ?? [0, 0, 0]
    return { records, packets, bytes }
  }

  toJSON(): LossTable {
    return Object.fromEntries(this.#sums)
  }
}
