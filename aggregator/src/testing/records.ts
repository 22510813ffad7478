// SPDX-License-Identifier: Apache-2.0
import { RECORD_SIZE, RecordOffset } from '@flowdam/proto'

/** What a set of records adds up to; the test's side of "rows = records". */
export interface Sums {
  records: number
  packets: number
  bytes: number
}

/**
 * Flow records that look like an edge's: nine of ten IPv4, 50 000 local addresses, mostly small flows, times within
 * the epoch. The same seed gives the same records. Not for hot paths.
 */
export function makeRecords(count: number, seed: number, epochMs = 5000): { records: Buffer; sums: Sums } {
  const records = Buffer.alloc(count * RECORD_SIZE)
  const random = xorshift(seed)
  const sums: Sums = { records: count, packets: 0, bytes: 0 }
  const ports = [80, 443, 443, 443, 53, 22, 8080]
  for (let at = 0; at < records.length; at += RECORD_SIZE) {
    const local = random() % 50_000
    if (random() % 10 === 0) {
      records.writeUInt32BE(0x2a000000 | (random() % 4096), at + RecordOffset.srcAddr)
      records.writeUInt32LE(random(), at + RecordOffset.srcAddr + 12)
      records.writeUInt32BE(0x20010db8, at + RecordOffset.dstAddr)
      records.writeUInt32BE(local, at + RecordOffset.dstAddr + 12)
    } else {
      records.writeUInt16BE(0xffff, at + RecordOffset.srcAddr + 10)
      records.writeUInt32LE(random(), at + RecordOffset.srcAddr + 12)
      records.writeUInt16BE(0xffff, at + RecordOffset.dstAddr + 10)
      records.writeUInt32BE(0xcb007100 + local, at + RecordOffset.dstAddr + 12)
    }
    const packets = 1 + (random() % 20 === 0 ? random() % 1000 : random() % 10)
    const bytes = packets * (60 + (random() % 1400))
    records.writeUInt16LE(1024 + (random() % 60_000), at + RecordOffset.srcPort)
    records.writeUInt16LE(ports[random() % 8] ?? random() % 65_536, at + RecordOffset.dstPort)
    records[at + RecordOffset.protocol] = random() % 4 === 0 ? 17 : 6
    records[at + RecordOffset.iface] = random() % 2 === 0 ? 0 : 0x80
    records.writeUInt32LE(bytes, at + RecordOffset.bytes)
    records.writeUInt32LE(packets, at + RecordOffset.packets)
    records.writeUInt32LE(random() % epochMs, at + RecordOffset.firstMs)
    records.writeUInt16LE(packets > 1 ? random() % epochMs : 0, at + RecordOffset.durationMs)
    records[at + RecordOffset.tcpFlags] = 0x10 | (random() % 16)
    records[at + RecordOffset.ttl] = 50 + (random() % 14)
    sums.packets += packets
    sums.bytes += bytes
  }
  return { records, sums }
}

/** Marsaglia's xorshift32; 32 bits, unsigned. */
function xorshift(seed: number): () => number {
  let state = Math.imul(seed + 1, 2654435761) >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state
  }
}
