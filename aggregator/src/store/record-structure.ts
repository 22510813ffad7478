// SPDX-License-Identifier: Apache-2.0

/** The 64-byte record (flowdam/v1/ingest.proto) as ClickHouse reads it from RowBinary. */
export const RECORD_STRUCTURE = [
  'src_addr IPv6',
  'dst_addr IPv6',
  'src_port UInt16',
  'dst_port UInt16',
  'protocol UInt8',
  'iface UInt8',
  'vlan UInt16',
  'bytes UInt64',
  'packets UInt32',
  'first_ms UInt32',
  'duration_ms UInt16',
  'source UInt16',
  'tcp_flags UInt8',
  'dscp UInt8',
  'marks UInt8',
  'ttl UInt8',
].join(', ')
