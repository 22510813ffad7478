// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from 'node:fs/promises'

/** A file's name is durable only with its folder. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** writev may write less than it was given (disk full, signal); this writes the rest or throws. */
export async function writeAll(
  file: FileHandle,
  buffers: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let left = buffers
  let at = position
  while (left.length > 0) {
    const { bytesWritten } = await file.writev(left, at)
    at += bytesWritten
    const rest = skip(left, bytesWritten)
    if (rest.length > 0 && bytesWritten === 0) throw new Error(`wrote ${at - position} bytes, and no more`)
    left = rest
  }
}

/** What is left behind the first `bytes`; nothing of it is empty. */
function skip(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest: Uint8Array[] = []
  for (const buffer of buffers) {
    if (bytes < buffer.length) rest.push(buffer.subarray(bytes))
    bytes = Math.max(0, bytes - buffer.length)
  }
  return rest
}
