// SPDX-License-Identifier: Apache-2.0
import { RECORD_SIZE, RecordOffset } from '@flowdam/proto'

const WORDS = RECORD_SIZE / 4
const HALVES = RECORD_SIZE / 2
const FIRST_MS = RecordOffset.firstMs / 4
const SOURCE = RecordOffset.source / 2
const IFACE = RecordOffset.iface

/** What one pass over a batch's records found. One object is reused, so that a pass allocates nothing per record. */
export interface Rebased {
  /** Least and greatest first_ms after the pass: milliseconds since the segment's base. */
  minMs: number
  maxMs: number
  /** Records whose iface byte has no source. */
  unknown: number
}

/**
 * The one pass of the writer over records: in place, `source` from the iface byte and `first_ms` counted from the
 * segment's base instead of the epoch's start. A first_ms beyond the epoch's end (`limitMs`) is the agent's mistake
 * and is held to it, so that no record can choose its day.
 *
 * `shiftMs`: epoch start minus segment base; `shiftMs + limitMs` must stay below 2^32. The records' offset in their
 * ArrayBuffer must be a multiple of 4 (see {@link aligned}). About 3 ns per record; src/spool/rebase.bench.ts measures.
 */
export function rebase(
  records: Uint8Array,
  sourceOfIface: Uint16Array,
  shiftMs: number,
  limitMs: number,
  result: Rebased,
): void {
  const count = records.length / RECORD_SIZE
  const words = new Uint32Array(records.buffer, records.byteOffset, count * WORDS)
  const halves = new Uint16Array(records.buffer, records.byteOffset, count * HALVES)
  let min = 0xffffffff
  let max = 0
  let unknown = 0
  for (let i = 0; i < count; i++) {
    const at = i * WORDS + FIRST_MS
    let first = words[at] as number
    if (first > limitMs) first = limitMs
    first += shiftMs
    words[at] = first
    if (first < min) min = first
    if (first > max) max = first
    const source = sourceOfIface[records[i * RECORD_SIZE + IFACE] as number] as number
    if (source === 0) unknown++
    halves[i * HALVES + SOURCE] = source
  }
  result.minMs = min
  result.maxMs = max
  result.unknown = unknown
}

/** Writes only `source`, for the rare batch whose interfaces became known after {@link rebase}. */
export function setSources(records: Uint8Array, sourceOfIface: Uint16Array): void {
  const count = records.length / RECORD_SIZE
  const halves = new Uint16Array(records.buffer, records.byteOffset, count * HALVES)
  for (let i = 0; i < count; i++) {
    halves[i * HALVES + SOURCE] = sourceOfIface[records[i * RECORD_SIZE + IFACE] as number] as number
  }
}

/** The same bytes at an address typed arrays can use; a copy only where the decoder put them askew. */
export function aligned(records: Uint8Array): Uint8Array {
  return records.byteOffset % 4 === 0 ? records : records.slice()
}
