// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ, proc(5): 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

/** CPU seconds of a process, all threads; NaN when it is gone. */
export function cpuSeconds(pid: number): number {
  const fields = statFields(pid)
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** The process that runs the embedded database of an aggregator. */
export function databaseOf(aggregatorPid: number): number | undefined {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find(
      (pid) => Number(statFields(pid)[1]) === aggregatorPid && commandLine(pid).includes('embedded/child.js'),
    )
}

/** /proc/PID/stat from its third field, state; nothing when the process is gone. */
function statFields(pid: number): string[] {
  const stat = read(pid, 'stat')
  return stat === '' ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function commandLine(pid: number): string {
  return read(pid, 'cmdline')
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}
