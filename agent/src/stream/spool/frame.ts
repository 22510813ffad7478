// SPDX-License-Identifier: Apache-2.0
//
// A spool segment is frames back to back, one for each batch:
//
//   offset size
//    0      4   magic
//    4      4   CRC-32 of bytes 8-19 and of meta
//    8      4   bytes of meta
//   12      4   bytes of records
//   16      4   CRC-32 of the records
//   20     ..   meta: the FlowBatch without its records, as protobuf; FlowBatch.lost says what the records sum to,
//               which is what is lost without them
//   ..     ..   records
//
// Little-endian. Meta has a CRC of its own, so that a start reads a few bytes of each frame, not a gigabyte.
import { readSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { FlowBatch, MAX_BATCH_RECORDS, RECORD_SIZE, type RecordSums, sumRecords } from '@flowdam/proto'

const MAGIC = 0x31424446
export const FRAME_HEADER = 20
/** 256 ledgers are 20 KB. */
const MOST_META = 1 << 20
const NOTHING = Buffer.alloc(0)

/** Where a frame lies in its segment. */
export interface FrameSpan {
  offset: number
  metaBytes: number
  recordBytes: number
  /** Sums of the records, or of those that were given up. */
  packets: number
  bytes: number
}

export function frameBytes(span: Pick<FrameSpan, 'metaBytes' | 'recordBytes'>): number {
  return FRAME_HEADER + span.metaBytes + span.recordBytes
}

/** The frame's buffers, to be written one after the other. */
export function encodeFrame(batch: FlowBatch): {
  buffers: Uint8Array[]
  metaBytes: number
  sums: Pick<RecordSums, 'packets' | 'bytes'>
} {
  const lost = batch.records.length > 0 ? { ...sumRecords(batch.records), reason: '' } : batch.lost
  const meta = FlowBatch.encode({ ...batch, records: NOTHING, lost }).finish()
  const header = Buffer.alloc(FRAME_HEADER)
  header.writeUInt32LE(MAGIC, 0)
  header.writeUInt32LE(meta.length, 8)
  header.writeUInt32LE(batch.records.length, 12)
  header.writeUInt32LE(crc32(batch.records), 16)
  header.writeUInt32LE(crc32(meta, crc32(header.subarray(8))), 4)
  return {
    buffers: [header, meta, batch.records],
    metaBytes: meta.length,
    sums: { packets: lost?.packets ?? 0, bytes: lost?.bytes ?? 0 },
  }
}

/** The batch of a whole frame, undefined when it is damaged. */
export function decodeFrame(frame: Buffer): FlowBatch | undefined {
  const batch = decodeMeta(frame)
  if (!batch) return undefined
  const records = frame.subarray(FRAME_HEADER + frame.readUInt32LE(8))
  if (records.length !== frame.readUInt32LE(12) || crc32(records) !== frame.readUInt32LE(16)) return undefined
  return { ...batch, records, lost: records.length > 0 ? undefined : batch.lost }
}

/** The same without its records; `frame` may end behind meta. */
export function decodeMeta(frame: Buffer): FlowBatch | undefined {
  if (frame.length < FRAME_HEADER || frame.readUInt32LE(0) !== MAGIC) return undefined
  const meta = frame.subarray(FRAME_HEADER, FRAME_HEADER + frame.readUInt32LE(8))
  if (meta.length !== frame.readUInt32LE(8)) return undefined
  if (crc32(meta, crc32(frame.subarray(8, FRAME_HEADER))) !== frame.readUInt32LE(4)) return undefined
  try {
    return FlowBatch.decode(meta)
  } catch {
    return undefined
  }
}

export interface FoundFrame extends FrameSpan {
  /** Without records and ledgers. */
  batch: FlowBatch
}

/** What is in a segment, in order: frames, and stretches that were frames once: they have frames behind them, or are whole. */
export type Found = FoundFrame | Buffer

/** Reads a segment up to where it is torn. Records are not looked at. */
export function scanFrames(fd: number, size: number): { found: Found[]; validBytes: number } {
  const found: Found[] = []
  let offset = 0
  while (offset + FRAME_HEADER <= size) {
    let frame = frameAt(fd, offset, size)
    if (!frame) {
      frame = nextFrame(fd, offset + 1, size)
      const end = frame?.offset ?? endOfLast(fd, offset, size)
      if (end === undefined) break
      found.push(readAt(fd, offset, end - offset))
      offset = end
    }
    if (!frame) break
    found.push(frame)
    offset = frame.offset + frameBytes(frame)
  }
  return { found, validBytes: offset }
}

/** Lengths that a header can have. */
function spanAt(fd: number, offset: number, size: number) {
  const header = readAt(fd, offset, FRAME_HEADER)
  if (header.length < FRAME_HEADER || header.readUInt32LE(0) !== MAGIC) return undefined
  const span = { offset, metaBytes: header.readUInt32LE(8), recordBytes: header.readUInt32LE(12) }
  const sane = span.metaBytes <= MOST_META && span.recordBytes <= MAX_BATCH_RECORDS * RECORD_SIZE
  if (!sane || span.recordBytes % RECORD_SIZE !== 0 || offset + frameBytes(span) > size) return undefined
  return span
}

/** Where the file's last frame ends, if it is all there though damaged: what is torn is shorter than its header says. */
function endOfLast(fd: number, offset: number, size: number): number | undefined {
  const span = spanAt(fd, offset, size)
  return span && offset + frameBytes(span) === size ? size : undefined
}

function frameAt(fd: number, offset: number, size: number): FoundFrame | undefined {
  const span = spanAt(fd, offset, size)
  if (!span) return undefined
  const batch = decodeMeta(readAt(fd, offset, FRAME_HEADER + span.metaBytes))
  if (!batch) return undefined
  const { packets = 0, bytes = 0 } = batch.lost ?? {}
  return { ...span, packets, bytes, batch: { ...batch, ledgers: [] } }
}

/** The first whole frame from here on. */
function nextFrame(fd: number, from: number, size: number): FoundFrame | undefined {
  const rest = readAt(fd, from, size - from)
  const magic = Buffer.alloc(4)
  magic.writeUInt32LE(MAGIC)
  for (let at = rest.indexOf(magic); at >= 0; at = rest.indexOf(magic, at + 1)) {
    const frame = frameAt(fd, from + at, size)
    if (frame) return frame
  }
  return undefined
}

function readAt(fd: number, offset: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes)
  return buffer.subarray(0, readSync(fd, buffer, 0, bytes, offset))
}
