// SPDX-License-Identifier: Apache-2.0

/**
 * The 64-byte flow record (flowdam/v1/ingest.proto states the layout; bpf/layout.h asserts the same in C).
 * Hot loops use the offsets on typed arrays; the codec at the end is for tests, tools and other cold paths.
 */
export const RECORD_SIZE = 64
/** The key: bytes 0-39. */
export const RECORD_KEY_SIZE = 40

/** Byte offsets of the fields. */
export const RecordOffset = {
  srcAddr: 0,
  dstAddr: 16,
  srcPort: 32,
  dstPort: 34,
  protocol: 36,
  iface: 37,
  vlan: 38,
  bytes: 40,
  packets: 48,
  firstMs: 52,
  durationMs: 56,
  source: 58,
  tcpFlags: 60,
  dscp: 61,
  marks: 62,
  ttl: 63,
} as const

/** The high bit of `iface`. */
export const IFACE_EGRESS = 0x80

export const Mark = { fragment: 1, dropped: 2, tunnelled: 4, sampled: 8, overflow: 16 } as const

/** The version that Hello and Welcome name. */
export const PROTOCOL_VERSION = 1

/** Most records in one FlowBatch. */
export const MAX_BATCH_RECORDS = 16_384

/** The most that one message may count: a terabit per second for two hours. Sums of many still fit their fields. */
export const MAX_COUNT = 2 ** 50

export interface FlowRecord {
  /** 16 bytes; IPv4 as ::ffff:a.b.c.d. */
  srcAddr: Uint8Array
  dstAddr: Uint8Array
  srcPort: number
  dstPort: number
  protocol: number
  /** Interface index; high bit: egress. */
  iface: number
  vlan: number
  /** Layer-3 bytes. */
  bytes: number
  packets: number
  /** Since the epoch's start. */
  firstMs: number
  durationMs: number
  source: number
  tcpFlags: number
  dscp: number
  marks: number
  ttl: number
}

export interface RecordSums {
  records: number
  packets: number
  /** Layer-3. */
  bytes: number
}

/** What so many records hold together. Allocates nothing for a record. */
export function sumRecords(records: Uint8Array): RecordSums {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength)
  let packets = 0
  let bytes = 0
  for (let at = 0; at + RECORD_SIZE <= records.length; at += RECORD_SIZE) {
    packets += view.getUint32(at + RecordOffset.packets, true)
    bytes += view.getUint32(at + RecordOffset.bytes, true)
    bytes += view.getUint32(at + RecordOffset.bytes + 4, true) * 2 ** 32
  }
  // No real flows get there; what are none must not become a number that an aggregator refuses.
  return { records: Math.floor(records.length / RECORD_SIZE), packets, bytes: Math.min(bytes, MAX_COUNT) }
}

/** One record as an object. Cold paths only. `bytes` above 2^53 loses precision; a flow of an epoch cannot get there. */
export function decodeRecord(buffer: Uint8Array, offset = 0): FlowRecord {
  const view = new DataView(buffer.buffer, buffer.byteOffset + offset, RECORD_SIZE)
  return {
    srcAddr: buffer.slice(offset + RecordOffset.srcAddr, offset + RecordOffset.srcAddr + 16),
    dstAddr: buffer.slice(offset + RecordOffset.dstAddr, offset + RecordOffset.dstAddr + 16),
    srcPort: view.getUint16(RecordOffset.srcPort, true),
    dstPort: view.getUint16(RecordOffset.dstPort, true),
    protocol: view.getUint8(RecordOffset.protocol),
    iface: view.getUint8(RecordOffset.iface),
    vlan: view.getUint16(RecordOffset.vlan, true),
    bytes: view.getUint32(RecordOffset.bytes, true) + view.getUint32(RecordOffset.bytes + 4, true) * 2 ** 32,
    packets: view.getUint32(RecordOffset.packets, true),
    firstMs: view.getUint32(RecordOffset.firstMs, true),
    durationMs: view.getUint16(RecordOffset.durationMs, true),
    source: view.getUint16(RecordOffset.source, true),
    tcpFlags: view.getUint8(RecordOffset.tcpFlags),
    dscp: view.getUint8(RecordOffset.dscp),
    marks: view.getUint8(RecordOffset.marks),
    ttl: view.getUint8(RecordOffset.ttl),
  }
}

/** Writes one record. Cold paths only. */
export function encodeRecord(record: FlowRecord, buffer: Uint8Array, offset = 0): void {
  const view = new DataView(buffer.buffer, buffer.byteOffset + offset, RECORD_SIZE)
  buffer.set(record.srcAddr, offset + RecordOffset.srcAddr)
  buffer.set(record.dstAddr, offset + RecordOffset.dstAddr)
  view.setUint16(RecordOffset.srcPort, record.srcPort, true)
  view.setUint16(RecordOffset.dstPort, record.dstPort, true)
  view.setUint8(RecordOffset.protocol, record.protocol)
  view.setUint8(RecordOffset.iface, record.iface)
  view.setUint16(RecordOffset.vlan, record.vlan, true)
  view.setUint32(RecordOffset.bytes, record.bytes % 2 ** 32, true)
  view.setUint32(RecordOffset.bytes + 4, Math.floor(record.bytes / 2 ** 32), true)
  view.setUint32(RecordOffset.packets, record.packets, true)
  view.setUint32(RecordOffset.firstMs, record.firstMs, true)
  view.setUint16(RecordOffset.durationMs, record.durationMs, true)
  view.setUint16(RecordOffset.source, record.source, true)
  view.setUint8(RecordOffset.tcpFlags, record.tcpFlags)
  view.setUint8(RecordOffset.dscp, record.dscp)
  view.setUint8(RecordOffset.marks, record.marks)
  view.setUint8(RecordOffset.ttl, record.ttl)
}
