// SPDX-License-Identifier: Apache-2.0

/**
 * Why records were lost in the queue: no spool and the memory full; the disk slower than what comes; the disk refusing;
 * spool.max reached; a frame that cannot be read back; a batch that no aggregator can take; a number under
 * which an aggregator has another batch.
 */
export const QUEUE_DROP_REASONS = [
  'queue_full',
  'spool_slow',
  'spool_failed',
  'spool_full',
  'spool_damaged',
  'refused',
  'number_taken',
] as const
export type QueueDropReason = (typeof QUEUE_DROP_REASONS)[number]

export type DropCounts = Record<QueueDropReason, number>

/** What the queue gave up since start, by reason: records, and the packets and bytes that they summed. */
export class QueueDrops {
  readonly records = none()
  readonly packets = none()
  readonly bytes = none()

  add(
    reason: QueueDropReason,
    records: number,
    { packets, bytes }: { packets: number; bytes: number },
  ): void {
    this.records[reason] += records
    this.packets[reason] += packets
    this.bytes[reason] += bytes
  }
}

function none(): DropCounts {
  return Object.fromEntries(QUEUE_DROP_REASONS.map((reason) => [reason, 0])) as DropCounts
}
