// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why there can be none, for a test that skips. */
export const NO_SMALL_DISK = process.getuid?.() === 0 ? false : 'mounting a tmpfs needs root'

const BALLAST = 'ballast'

/** A file system of its own, in memory, that can really be full. */
export class SmallDisk {
  readonly path = mkdtempSync(join(tmpdir(), 'flowdam-disk-'))

  mount(megabytes: number): void {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', this.path])
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path)
    return bavail * bsize
  }

  /** To the last byte, or until so many are left. */
  fill(leaveBytes = 0): void {
    const file = openSync(join(this.path, BALLAST), 'a')
    try {
      for (let size = 1 << 20; size > 0; size >>= 1) {
        const piece = Buffer.alloc(size)
        if (leaveBytes === 0) writeUntilFull(file, piece)
        else while (this.freeBytes - size >= leaveBytes) writeSync(file, piece)
      }
    } finally {
      closeSync(file)
    }
  }

  /** Takes away what fill() put there. */
  relieve(): void {
    rmSync(join(this.path, BALLAST), { force: true })
  }

  cleanUp(): void {
    // Lazy: a process that was just killed may still be going.
    execFileSync('umount', ['--lazy', this.path])
    rmSync(this.path, { recursive: true })
  }
}

function writeUntilFull(file: number, piece: Buffer): void {
  try {
    while (writeSync(file, piece) === piece.length);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}
