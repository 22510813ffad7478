// SPDX-License-Identifier: Apache-2.0
import { closeSync, ftruncateSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { FlowdamError } from './errors.js'

/**
 * One process per folder, until what this returns is called. The file names the holder by pid and start time (proc(5),
 * stat field 22), so that a number taken over by another process after a crash is not mistaken for the holder.
 * FD_SPOOL_LOCKED.
 */
export function lockFolder(folder: string, remedy: string): () => void {
  const path = join(folder, 'lock')
  const mine = `${process.pid} ${startTime(process.pid)}`
  try {
    writeFileSync(path, mine, { flag: 'wx', mode: 0o600 })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    const held = readFileSync(path, 'utf8')
    const pid = Number(held.split(' ')[0])
    if (held !== mine && startTime(pid) !== '' && held === `${pid} ${startTime(pid)}`) {
      throw new FlowdamError('FD_SPOOL_LOCKED', `${folder} is in use by process ${pid}`, { cause, remedy })
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
