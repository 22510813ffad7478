// SPDX-License-Identifier: Apache-2.0
import { crc32 } from 'node:zlib'
import { Losses } from './losses.js'
import { type Pending, settle, sidecarBatch } from './pending.js'
import type { SidecarCommit } from './sidecar.js'

/** Bytes of one group commit; keeps a crash's CRC check and a retry small. */
const GROUP_BYTES = 8 << 20

export interface Group {
  commit: SidecarCommit
  buffers: Uint8Array[]
  /** Entries of the queue that it is made of. */
  count: number
}

/** As many entries as fit, at least one, with their records settled on the segment's base: what one commit writes. */
export function gatherGroup(
  entries: readonly Pending[],
  segment: { baseUnixMs: number; offset: number },
  room: number,
): Group {
  const commit: SidecarCommit = {
    kind: 'commit',
    offset: segment.offset,
    bytes: 0,
    crc: 0,
    minMs: 0xffffffff,
    maxMs: 0,
    batches: [],
  }
  const buffers: Uint8Array[] = []
  const losses = new Losses()
  const most = Math.min(GROUP_BYTES, room)
  let count = 0
  for (const pending of entries) {
    const size = pending.records?.length ?? 0
    if (count > 0 && commit.bytes + size > most) break
    count++
    if (pending.echo) continue
    commit.batches.push(sidecarBatch(pending))
    if (pending.losses) {
      losses.merge(pending.losses.toJSON())
      commit.lost = losses.toJSON()
    }
    if (!pending.records || size === 0) continue
    settle(pending, segment.baseUnixMs)
    commit.crc = crc32(pending.records, commit.crc)
    commit.bytes += size
    commit.minMs = Math.min(commit.minMs, pending.minMs)
    commit.maxMs = Math.max(commit.maxMs, pending.maxMs)
    buffers.push(pending.records)
  }
  return { commit, buffers, count }
}
