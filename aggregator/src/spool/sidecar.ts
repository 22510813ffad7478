// SPDX-License-Identifier: Apache-2.0
//
// A segment is two files: `N.seg` holds records only, so it is a valid RowBinary stream as it lies there; `N.idx`,
// the sidecar, says what they mean. The sidecar is a journal of lines `crc32 json`, one per group commit:
//
//   header   spool and segment number, base time, and the whole tables of positions and losses at that moment. So the
//            newest sidecar alone knows every (agent, boot, seq) there is, and older ones can go.
//   commit   where the commit's bytes lie, their CRC-32, the time they span, and the batches they hold
//   seal     nothing follows
//
// Nothing else is durable state: a batch is in the spool if and only if its commit line is whole and the bytes it
// names have that CRC. Torn tails of either file, in whatever order the disk wrote them, cut back to that.
import { crc32 } from 'node:zlib'
import type { LossTable } from './losses.js'
import type { PositionTable } from './positions.js'

export const SIDECAR_VERSION = 1

export interface SidecarHeader {
  kind: 'header'
  version: number
  /** Random, made at each start; keeps segment numbers apart in one database: of two spools, and of one before and after a backup. */
  spool: number
  segment: number
  /** Milliseconds since 1970 that the records' first_ms counts from. */
  baseUnixMs: number
  createdUnixMs: number
  positions: PositionTable
  /** Absent in what an older version wrote. */
  lost?: LossTable
}

/** agent, boot, seq, records, dropped: `dropped` records were acknowledged as lost (spool full). */
export type SidecarBatch = [agent: string, boot: number, seq: number, records: number, dropped: number]

export interface SidecarCommit {
  kind: 'commit'
  offset: number
  bytes: number
  crc: number
  /** Least and greatest first_ms, since the base; of no meaning when there are no bytes. */
  minMs: number
  maxMs: number
  batches: SidecarBatch[]
  /** What of these batches was given up, if anything. */
  lost?: LossTable
}

export interface SidecarSeal {
  kind: 'seal'
  bytes: number
}

export type SidecarEntry = SidecarHeader | SidecarCommit | SidecarSeal

export function encodeEntry(entry: SidecarEntry): string {
  const json = JSON.stringify(entry)
  return `${hexCrc(json)} ${json}\n`
}

export interface ParsedSidecar {
  header: SidecarHeader | undefined
  commits: SidecarCommit[]
  sealed: boolean
  /** Bytes of the file that are whole; the rest is a torn tail. */
  validBytes: number
}

/** Reads entries until the first that is torn, damaged or out of order. Never throws. */
export function parseSidecar(content: Uint8Array): ParsedSidecar {
  const parsed: ParsedSidecar = { header: undefined, commits: [], sealed: false, validBytes: 0 }
  const text = Buffer.from(content.buffer, content.byteOffset, content.byteLength)
  let end = 0
  while (!parsed.sealed) {
    const newline = text.indexOf(10, end)
    if (newline < 0) break
    const entry = parseLine(text.subarray(end, newline))
    if (!entry || !follows(parsed, entry, end)) break
    if (entry.kind === 'header') parsed.header = entry
    else if (entry.kind === 'commit') parsed.commits.push(entry)
    else parsed.sealed = true
    end = newline + 1
    parsed.validBytes = end
  }
  return parsed
}

/** Bytes of records that a parsed sidecar accounts for. */
export function recordBytes(parsed: ParsedSidecar): number {
  const last = parsed.commits.at(-1)
  return last ? last.offset + last.bytes : 0
}

function follows(parsed: ParsedSidecar, entry: SidecarEntry, at: number): boolean {
  if (entry.kind === 'header') return at === 0 && entry.version === SIDECAR_VERSION
  if (!parsed.header) return false
  return entry.kind === 'commit' ? entry.offset === recordBytes(parsed) : entry.bytes === recordBytes(parsed)
}

function parseLine(line: Buffer): SidecarEntry | undefined {
  if (line.length < 10 || line[8] !== 0x20) return undefined
  const json = line.subarray(9)
  if (line.toString('latin1', 0, 8) !== hexCrc(json)) return undefined
  try {
    return JSON.parse(json.toString('utf8')) as SidecarEntry
  } catch {
    return undefined
  }
}

function hexCrc(json: string | Buffer): string {
  return crc32(json).toString(16).padStart(8, '0')
}
