// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { FlowCounters } from '../contracts.js'
import type { DiskSpace } from '../disk/space.js'
import type { DropCounter } from '../drops.js'
import type { OpenFile } from './segment.js'

/** When a batch counts as durable: on the disk, in the kernel with a sync every so often, or in the kernel. */
export type FsyncPolicy = 'always' | 'interval' | 'never'

export interface SpoolOptions {
  /** Made if missing. */
  directory: string
  /** All segments together, bytes; at least one batch, however large. */
  maxBytes: number
  /** Of segments that were set aside because they cannot be loaded. */
  deadLetterBytes: number
  /** Of its disk, bytes, that stay free; without it the disk may be filled. */
  reserve?: (totalBytes: number) => number
  /** At maxBytes, or with less room on the disk: hold acknowledges nothing more until there is room, so that agents keep it; drop drops and counts. */
  whenFull: 'hold' | 'drop'
  /** A segment is sealed at this many records … */
  maxRows: number
  /** … or at this age, unless the loader is behind: then it grows, for fewer and larger inserts. */
  maxAgeMs: number
  fsync: FsyncPolicy
  fsyncIntervalMs: number
  /** Records in memory, waiting for the disk, bytes. Beyond it room() is false; beyond twice that they are dropped. */
  queueBytes: number
  drops: DropCounter
  flows: FlowCounters
  log: Logger
  /** What must be on the disk before records are; a failure is one of the spool's. */
  beforeCommit?: () => Promise<void>
  /** For tests: a disk that is slow, full or broken. */
  openFile?: OpenFile
  /** For tests: how much room there is. */
  space?: () => Promise<DiskSpace>
}

export const SPOOL_DEFAULTS = {
  maxBytes: 4e9,
  deadLetterBytes: 1e9,
  whenFull: 'hold',
  maxRows: 1_000_000,
  maxAgeMs: 1000,
  fsync: 'always',
  fsyncIntervalMs: 200,
  queueBytes: 256e6,
} as const satisfies Partial<SpoolOptions>

export interface SpoolStatus {
  /** Sealed and open. */
  segments: number
  bytes: number
  maxBytes: number
  /** Of segments that were set aside. */
  deadLetterBytes: number
  /** Of its disk; 0 while it is not known. */
  diskFreeBytes: number
  diskReserveBytes: number
  /** Records in memory, waiting for the disk, bytes. */
  queuedBytes: number
  /** When the oldest segment was begun, milliseconds since 1970; 0 when all is stored. */
  oldestUnixMs: number
  /** Records in segments. */
  rows: number
  /** degraded: nothing more is acknowledged, agents keep it. failed: records are being dropped. */
  state: 'ok' | 'degraded' | 'failed'
  /** Why nothing is written, while it is so. */
  lastError: string
  /** Writes that the disk refused since start, by errno: ENOSPC, EIO. */
  failures: Readonly<Record<string, number>>
}
