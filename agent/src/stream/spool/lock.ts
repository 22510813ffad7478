// SPDX-License-Identifier: Apache-2.0
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FlowdamError } from '@flowdam/common'

/**
 * One process per folder. The file names the holder by pid and start time (proc(5), stat field 22), so that a number
 * taken over by another process after a crash is not mistaken for the holder.
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, 'lock')
  const mine = identity(process.pid)
  const held = read(path)
  const pid = Number(held.split(' ')[0])
  if (held !== '' && held !== mine && held === identity(pid)) {
    throw new FlowdamError('FD_SPOOL_LOCKED', `${folder} is in use by process ${pid}`, {
      remedy: 'stop that process, or give this one another id or spool.path',
    })
  }
  writeFileSync(path, mine)
  return () => rmSync(path, { force: true })
}

function identity(pid: number): string {
  const stat = read(`/proc/${pid}/stat`)
  const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  return start === undefined ? '' : `${pid} ${start}`
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
