// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
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

  /** To the last byte, or until so many are left; the process goes on meanwhile. */
  async fill(leaveBytes = 0): Promise<void> {
    const file = await open(join(this.path, BALLAST), 'a')
    try {
      for (let size = 1 << 20; size > 0; size >>= 1) {
        const piece = Buffer.alloc(size)
        if (leaveBytes === 0) await writeUntilFull(file, piece)
        else while (this.freeBytes - size >= leaveBytes) await file.write(piece)
      }
    } finally {
      await file.close()
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

async function writeUntilFull(file: FileHandle, piece: Buffer): Promise<void> {
  try {
    while ((await file.write(piece)).bytesWritten === piece.length);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}
