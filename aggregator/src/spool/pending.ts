// SPDX-License-Identifier: Apache-2.0
import { RECORD_SIZE, RecordOffset } from '@flowdam/proto'
import type { AppendResult, BatchOrigin } from '../contracts.js'
import type { Losses } from './losses.js'
import { type Rebased, rebase, setSources } from './rebase.js'
import type { SidecarBatch } from './sidecar.js'

/** A segment's base lies this far before its creation, so that old epochs fit; 2^32 ms are 49 days. */
export const BASE_BEFORE_MS = 40 * 86_400_000
/** Epochs older than this are taken as this old: an agent's queue never holds so much. */
const OLDEST_MS = 30 * 86_400_000
const NEWEST_MS = 60 * 60_000
/** Beyond this an agent's clock is wrong rather than a little off, and its times are corrected by the difference. */
const SKEW_TOLERATED_MS = 5 * 60_000
const LONGEST_EPOCH_MS = 60 * 60_000

/** A batch on its way to the disk. */
export interface Pending {
  readonly origin: BatchOrigin
  readonly boot: number
  seq: number
  readonly epochStartUnixMs: number
  /** Greatest first_ms that can be true. */
  readonly limitMs: number
  /** Nothing for a batch whose records were dropped, and for one that only waits for those before it. */
  readonly records: Uint8Array | undefined
  dropped: number
  /** Flow detail of this batch that was given up, here or by its agent. */
  readonly losses: Losses | undefined
  /** Waits for what is before it, and is not written itself: a duplicate of a batch in flight. */
  readonly echo: boolean
  /** Set when the records were rebased; they must not be a second time. */
  rebased: boolean
  minMs: number
  maxMs: number
  readonly done: Promise<AppendResult>
  readonly resolve: (result: AppendResult) => void
  readonly reject: (error: Error) => void
}

export function newPending(
  fields: Pick<
    Pending,
    'origin' | 'boot' | 'seq' | 'epochStartUnixMs' | 'limitMs' | 'records' | 'dropped' | 'losses' | 'echo'
  >,
): Pending {
  let resolve: Pending['resolve'] = () => undefined
  let reject: Pending['reject'] = () => undefined
  const done = new Promise<AppendResult>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { ...fields, rebased: false, minMs: 0, maxMs: 0, done, resolve, reject }
}

/** Whether an agent's clock is so wrong that its times are corrected. */
export function isClockWrong(clockSkewMs: number): boolean {
  return Math.abs(clockSkewMs) > SKEW_TOLERATED_MS
}

/** Whose clock to believe, and how far: see the constants above. */
export function trustedEpochStart(epochStartUnixMs: number, clockSkewMs: number, nowMs: number): number {
  const start = isClockWrong(clockSkewMs) ? epochStartUnixMs - Math.round(clockSkewMs) : epochStartUnixMs
  return Math.min(Math.max(start, nowMs - OLDEST_MS), nowMs + NEWEST_MS)
}

/** `epochMs` of 0 means a client that does not say; its epochs are taken to last at most the usual minute. */
export function epochLimit(epochMs: number): number {
  return Math.min(Math.max(epochMs, 60_000) + 1000, LONGEST_EPOCH_MS)
}

const scratch: Rebased = { minMs: 0, maxMs: 0, unknown: 0 }

/** The writer's pass over the batch's records, once, when its segment is known. */
export function settle(pending: Pending, baseUnixMs: number): void {
  const { records, origin } = pending
  if (!records || pending.rebased) return
  // Our own clock may have been set by weeks since the segment was begun; first_ms has 32 bits.
  const most = 0xffffffff - pending.limitMs
  const shiftMs = Math.min(most, Math.max(0, pending.epochStartUnixMs - baseUnixMs))
  rebase(records, origin.sourceOfIface, shiftMs, pending.limitMs, scratch)
  if (scratch.unknown > 0) {
    for (let at = 0; at < records.length; at += RECORD_SIZE) {
      const iface = records[at + RecordOffset.iface] as number
      if (origin.sourceOfIface[iface] === 0) origin.learnIface(iface)
    }
    setSources(records, origin.sourceOfIface)
  }
  pending.rebased = true
  pending.minMs = scratch.minMs
  pending.maxMs = scratch.maxMs
}

export function sidecarBatch(pending: Pending): SidecarBatch {
  const rows = (pending.records?.length ?? 0) / RECORD_SIZE
  return [pending.origin.id, pending.boot, pending.seq, rows, pending.dropped]
}
