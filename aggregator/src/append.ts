// SPDX-License-Identifier: Apache-2.0
//
// Files of lines that are only appended to: the journals and the audit log.
import { fdatasync, ftruncateSync, writeSync } from 'node:fs'

/**
 * Appends all of it or nothing, and throws what the disk says: half a line would make the next one unreadable. `size` is
 * that of the whole lines there are. `write` is for tests of full disks.
 */
export function appendWhole(
  fd: number,
  bytes: Buffer,
  size: number,
  write: (fd: number, bytes: Buffer) => number = writeSync,
): void {
  try {
    if (write(fd, bytes) !== bytes.length) throw new Error('short write')
  } catch (error) {
    try {
      ftruncateSync(fd, size)
    } catch {}
    throw error
  }
}

/** Syncs a file to the disk soon after it was written, one sync at a time, without anybody waiting. */
export class LaterSync {
  readonly #fd: () => number | undefined
  readonly #failed: (error: unknown) => void
  #syncing = false
  #dirty = false

  /** `fd`: of the file as it is now; it may be replaced or closed at any time. */
  constructor(fd: () => number | undefined, failed: (error: unknown) => void) {
    this.#fd = fd
    this.#failed = failed
  }

  soon(): void {
    const fd = this.#fd()
    if (fd === undefined) return
    this.#dirty = true
    if (this.#syncing) return
    this.#syncing = true
    this.#dirty = false
    fdatasync(fd, (error) => {
      this.#syncing = false
      // EBADF: the file was replaced or closed meanwhile, and synced then.
      if (error && error.code !== 'EBADF') this.#failed(error)
      if (this.#dirty) this.soon()
    })
  }
}
