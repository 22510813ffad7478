// SPDX-License-Identifier: Apache-2.0
//
// A stretch of a segment that is no frame any more. What is torn ends the file; before other frames it was whole once, and
// somebody counts on it: the books must say what it held.
import { crc32 } from 'node:zlib'
import { type FlowBatch, MAX_BATCH_RECORDS, RECORD_SIZE, type RecordSums, sumRecords } from '@flowdam/proto'
import { FRAME_HEADER } from './frame.js'

export interface Damage {
  /** For messages. */
  where: string
  sums: RecordSums
  /** The batches that are missing there, as their neighbours say; none when they do not say. */
  names: Name[]
  content: Buffer
}

type Name = Pick<FlowBatch, 'bootId' | 'seq' | 'epochStartUnixMs'>

/** Meta with all ledgers there can be. */
const MOST_META = 32 << 10

/** What the stretch's records sum to: exact if it was one frame and only its head is damaged, else what can be told. */
export function salvageSums(stretch: Buffer): RecordSums {
  const nothing = noSums()
  const room = stretch.length - FRAME_HEADER
  if (room < RECORD_SIZE) return nothing
  const lengths = [stretch.readUInt32LE(12), room - stretch.readUInt32LE(8)].map((length) =>
    length > 0 && length <= room && length % RECORD_SIZE === 0
      ? stretch.subarray(stretch.length - length)
      : undefined,
  )
  const [first, second] = lengths
  if (first && first.length === second?.length) return sumRecords(first)
  // One of the two is damaged, or both; then the records are what has their CRC.
  const crc = stretch.readUInt32LE(16)
  for (const records of [first, second]) if (records && crc32(records) === crc) return sumRecords(records)
  const most = room - (room % RECORD_SIZE)
  for (let length = most; length > 0 && room - length <= MOST_META; length -= RECORD_SIZE) {
    const records = stretch.subarray(stretch.length - length)
    if (crc32(records) === crc) return sumRecords(records)
  }
  return { ...nothing, records: Math.min(MAX_BATCH_RECORDS, Math.floor(room / RECORD_SIZE)) }
}

/** Further apart than this two frames are no neighbours. */
const MOST_BETWEEN = 65_536

/** The numbers between two frames that follow each other, of the boot of the second. */
export function namesBetween(before: Name | undefined, behind: Name): Damage['names'] {
  const { bootId, seq: end, epochStartUnixMs } = behind
  const first = before && before.bootId === bootId ? before.seq + 1 : end - 1
  if (first < 1 || first >= end || end - first > MOST_BETWEEN) return []
  return Array.from({ length: end - first }, (_, i) => ({ bootId, seq: first + i, epochStartUnixMs }))
}

/** Damages side by side count as one: nobody can say what was where. */
export function joined(damages: readonly Damage[], names: Damage['names']): Damage[] {
  const [first, ...others] = damages
  if (!first) return []
  const sums = { ...first.sums }
  for (const one of others) {
    sums.records += one.sums.records
    sums.packets += one.sums.packets
    sums.bytes += one.sums.bytes
  }
  return [{ ...first, sums, names, content: Buffer.concat(damages.map(({ content }) => content)) }]
}

export function noSums(): RecordSums {
  return { records: 0, packets: 0, bytes: 0 }
}
