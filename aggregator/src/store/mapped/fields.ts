// SPDX-License-Identifier: Apache-2.0
import { formatAddress } from '@flowdam/common'
import { RecordOffset } from '@flowdam/proto'
import type { Source } from '../../sources/registry.js'

/** What a field's text is made of, beside the record. */
export interface FieldContext {
  readonly baseUnixMs: number
  readonly segment: string
  readonly source: Source | undefined
}

type Field = (records: Buffer, at: number, context: FieldContext) => string | number

const unixMs = (records: Buffer, at: number, { baseUnixMs }: FieldContext) =>
  baseUnixMs + records.readUInt32LE(at + RecordOffset.firstMs)
const u16 =
  (offset: number): Field =>
  (records, at) =>
    records.readUInt16LE(at + offset)
const u8 =
  (offset: number): Field =>
  (records, at) =>
    records[at + offset] as number

/** What a column of somebody's table can be filled with, as TabSeparated text. */
export const FIELDS = {
  /** Seconds since 1970, for DateTime. */
  time: (records, at, context) => Math.floor(unixMs(records, at, context) / 1000),
  /** Milliseconds since 1970, for UInt64. */
  time_ms: unixMs,
  /** Seconds with three decimals, for DateTime64. */
  time64: (records, at, context) => (unixMs(records, at, context) / 1000).toFixed(3),
  /** UTC day, for Date. */
  date: (records, at, context) => new Date(unixMs(records, at, context)).toISOString().slice(0, 10),
  duration_ms: u16(RecordOffset.durationMs),
  src_addr: (records, at) => formatAddress(records, at + RecordOffset.srcAddr),
  dst_addr: (records, at) => formatAddress(records, at + RecordOffset.dstAddr),
  src_port: u16(RecordOffset.srcPort),
  dst_port: u16(RecordOffset.dstPort),
  protocol: u8(RecordOffset.protocol),
  vlan: u16(RecordOffset.vlan),
  packets: (records, at) => records.readUInt32LE(at + RecordOffset.packets),
  bytes: (records, at) => String(records.readBigUInt64LE(at + RecordOffset.bytes)),
  tcp_flags: u8(RecordOffset.tcpFlags),
  dscp: u8(RecordOffset.dscp),
  marks: u8(RecordOffset.marks),
  ttl: u8(RecordOffset.ttl),
  sampling_rate: () => 1,
  agent: (_records, _at, { source }) => escapeText(source?.agent ?? ''),
  interface: (_records, _at, { source }) => escapeText(source?.interface ?? ''),
  direction: (_records, _at, { source }) => source?.direction ?? '',
  boundary: (_records, _at, { source }) => source?.boundary ?? '',
  /** The spool segment that brought the row, for UInt64: with it an uncertain insert can be checked. */
  segment: (_records, _at, { segment }) => segment,
} as const satisfies Record<string, Field>

export type FieldName = keyof typeof FIELDS
export const FIELD_NAMES = Object.keys(FIELDS) as [FieldName, ...FieldName[]]

/** One row of TabSeparated, without its end. */
export function rowText(
  fields: readonly FieldName[],
  records: Buffer,
  at: number,
  context: FieldContext,
): string {
  let text = ''
  for (let i = 0; i < fields.length; i++) {
    if (i > 0) text += '\t'
    text += FIELDS[fields[i] as FieldName](records, at, context)
  }
  return text
}

function escapeText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n')
}
