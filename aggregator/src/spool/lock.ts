// SPDX-License-Identifier: Apache-2.0
import { closeSync, ftruncateSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { FlowdamError } from '@flowdam/common'

const FILE = 'lock'

/**
 * One process per folder. The file names the holder by pid and start time (proc(5), stat field 22), so that a number
 * taken over by another process after a crash is not mistaken for the holder.
 */
export function lockDirectory(directory: string): () => void {
  const path = join(directory, FILE)
  const mine = `${process.pid} ${startTime(process.pid)}`
  try {
    writeFileSync(path, mine, { flag: 'wx' })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    const held = readFileSync(path, 'utf8')
    const pid = Number(held.split(' ')[0])
    if (held !== mine && held.includes(' ') && startTime(pid) !== '' && held === `${pid} ${startTime(pid)}`) {
      throw new FlowdamError('FD_SPOOL_LOCKED', `${directory} is in use by process ${pid}`, {
        cause,
        remedy: 'stop that process, or give this one a store.path of its own',
      })
    }
    overwrite(path, mine)
  }
  return () => rmSync(path, { force: true })
}

/** In the block that the file has already, so that a daemon that was killed starts again on a full disk. */
function overwrite(path: string, text: string): void {
  const file = openSync(path, 'r+')
  try {
    writeSync(file, text, 0)
    ftruncateSync(file, Buffer.byteLength(text))
  } finally {
    closeSync(file)
  }
}

function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}
