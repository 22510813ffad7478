// SPDX-License-Identifier: Apache-2.0
import type { Failure } from './failure.js'

/** Since the agent's start. */
export interface UplinkStats {
  connects: number
  disconnects: number
  /** Attempts that got no Welcome, by why. */
  failures: Record<Failure['kind'], number>
  sentBatches: number
  sentRecords: number
  sentDeltas: number
  /** Acks of what was not sent. */
  impossibleAcks: number
  /** Messages of host deltas that no aggregator can take. */
  setAsideDeltas: number
  /** Milliseconds; the aggregator's clock minus ours at Welcome. */
  clockOffsetMs: number
}

export function newUplinkStats(): UplinkStats {
  return {
    connects: 0,
    disconnects: 0,
    failures: { unreachable: 0, tls: 0, version: 0, refused: 0 },
    sentBatches: 0,
    sentRecords: 0,
    sentDeltas: 0,
    impossibleAcks: 0,
    setAsideDeltas: 0,
    clockOffsetMs: 0,
  }
}
