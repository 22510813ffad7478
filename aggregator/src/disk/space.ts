// SPDX-License-Identifier: Apache-2.0
import { statfs } from 'node:fs/promises'

/** Of the file system that something lies on, bytes. */
export interface DiskSpace {
  /** For us; what only root may use is left out. */
  freeBytes: number
  totalBytes: number
}

export async function spaceOf(path: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(path)
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
}

const SHARE = 0.05
const MOST_BYTES = 1e9

/** What is kept free where nobody said how much: a twentieth of the disk, 1 GB at most. */
export function reserveOf(configured: number | undefined, totalBytes: number): number {
  return configured ?? Math.min(MOST_BYTES, Math.floor(totalBytes * SHARE))
}
