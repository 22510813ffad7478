// SPDX-License-Identifier: Apache-2.0
import { type FlowBatch, type Loss, RECORD_SIZE } from '@flowdam/proto'
import type { FoundBatch, Place } from './spool/disk-spool.js'

export const NO_RECORDS = Buffer.alloc(0)

/** A batch that waits, wherever it is. */
export interface QueuedBatch {
  readonly bootId: number
  readonly seq: number
  /** Flow records it has, in memory or on the disk. */
  records: number
  readonly epochStartUnixMs: number
  /** In memory; its records may have been given up. */
  batch: FlowBatch | undefined
  /** On the disk. */
  place: Place | undefined
  /** Its place on the disk says only this of its records: they were given up there. */
  lost: Loss | undefined
  /** Read back for sending. */
  loaded: FlowBatch | undefined
  readonly since: number
  /** When its epoch began, milliseconds of performance.now(): the wall clock may be set meanwhile. */
  readonly beganAt: number
  /** Given up on the disk, or acknowledged: not to be written again. */
  unspoolable: boolean
  gone: boolean
  /** It is malformed, and about to be replaced by what may be sent of it. */
  aside: boolean
  /** Of its records on this connection, 0 when it was not sent. */
  sentBytes: number
  /** Which aggregator it went to last, by its position in the configuration. */
  sentTo: number | undefined
}

export function queuedInMemory(batch: FlowBatch): QueuedBatch {
  return queued(batch, batch.records.length / RECORD_SIZE, batch, undefined)
}

/** Of an earlier process. */
export function queuedOnDisk({ batch, place }: FoundBatch): QueuedBatch {
  return queued(batch, place.recordBytes / RECORD_SIZE, undefined, place)
}

function queued(
  { bootId, seq, epochStartUnixMs, lost }: FlowBatch,
  records: number,
  batch: FlowBatch | undefined,
  place: Place | undefined,
): QueuedBatch {
  const since = performance.now()
  return {
    bootId,
    seq,
    records,
    epochStartUnixMs,
    batch,
    place,
    lost: place?.recordBytes === 0 ? lost : undefined,
    loaded: undefined,
    since,
    beganAt: since - Math.max(0, Date.now() - epochStartUnixMs),
    unspoolable: false,
    gone: false,
    aside: false,
    sentBytes: 0,
    sentTo: undefined,
  }
}

/** Dies with this process. */
export function isMortal({ place }: QueuedBatch): boolean {
  return place === undefined
}

/** Its number without its records, so that none is missing. */
export function emptyBatch({
  bootId,
  seq,
  epochStartUnixMs,
}: Pick<QueuedBatch, 'bootId' | 'seq' | 'epochStartUnixMs'>): FlowBatch {
  return { bootId, seq, epochStartUnixMs, epochMs: 0, records: NO_RECORDS, ledgers: [], lost: undefined }
}
