// SPDX-License-Identifier: Apache-2.0
//
// The one place where anything may disappear. Metrics (flowdam_dropped_total), the API's Drop list and the docs use
// these names; the unit is in the reason's comment.

export const DROP_REASONS = {
  ingest: [
    'bad_hello', // streams
    'bad_batch', // batches
    'bad_deltas', // messages
    'bad_heartbeat', // messages
    'bad_message', // messages that protobuf could not read
    'compressed', // streams with a compressed message
    'too_large', // streams with a message, or a first message, beyond the limit
    'unfinished', // streams whose half messages took the memory that others need
    'too_many_agents', // streams
    'certificate', // connections and streams refused for their certificate
    'gap', // batches that the agent no longer had
  ],
  spool: [
    'full', // records; spool.max is reached
    'queue_full', // records; the disk is too slow or fails, and the memory before it is full
    'unreadable_segment', // segments without a usable sidecar, moved to the dead-letter folder
  ],
  store: [
    'dead_letter', // records moved to the dead-letter folder
    'fastnetmon_tables', // rows of FastNetMon's metric tables
  ],
  detect: [
    'table_full', // delta entries
    'not_protected', // delta entries
    'prefixes_full', // addresses that count in no prefix of their own
    'late', // delta entries that came when no window went back so far, or with more time than has passed
    'baseline_full', // looks at addresses for whose profile there was no room, every 10 s
    'baseline_evicted', // profiles that were idle too long or made room
    'baseline_damaged', // files of learned baselines that could not be read
  ],
  hooks: [
    'queue_full', // hook runs
    'gave_up', // hook runs
  ],
} as const

export type DropStage = keyof typeof DROP_REASONS
export type DropReason<S extends DropStage> = (typeof DROP_REASONS)[S][number]

export interface DropCount {
  stage: DropStage
  reason: string
  count: number
}

/** Counts what is lost. Cheap enough for each message, not meant for each record. */
export class DropCounter {
  readonly #counts = new Map<string, DropCount>()

  add<S extends DropStage>(stage: S, reason: DropReason<S>, count: number): void {
    if (count <= 0) return
    const key = `${stage}/${reason}`
    const seen = this.#counts.get(key)
    if (seen) seen.count += count
    else this.#counts.set(key, { stage, reason, count })
  }

  get(stage: DropStage, reason: string): number {
    return this.#counts.get(`${stage}/${reason}`)?.count ?? 0
  }

  /** Only what is not zero: empty is the normal state. */
  snapshot(): DropCount[] {
    return [...this.#counts.values()].map((entry) => ({ ...entry }))
  }
}
