// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { SenderReport, SenderTask } from './sender.js'

const SENDER = fileURLToPath(new URL('sender.js', import.meta.url))
const SINK = fileURLToPath(new URL('sink.js', import.meta.url))
/** USER_HZ, proc(5): 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

/** Pushes records from a process of its own. */
export async function runSender(task: SenderTask): Promise<SenderReport> {
  const child = spawn(process.execPath, [SENDER, JSON.stringify(task)], { stdio: ['ignore', 'pipe', 'pipe'] })
  return JSON.parse(await firstLine(child, 'sender')) as SenderReport
}

/** An ingest that keeps nothing. */
export async function startSink(): Promise<{ address: string; pid: number; stop: () => void }> {
  const child = spawn(process.execPath, [SINK], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, FLOWDAM_LOG: 'warn' },
  })
  const { address } = JSON.parse(await firstLine(child, 'sink')) as { address: string }
  return { address, pid: child.pid ?? 0, stop: () => child.stdin?.end() }
}

/** CPU seconds of a process, all threads. */
export function cpuSeconds(pid: number): number {
  const fields = statFields(pid)
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((one) => Number(statFields(one)[1]) === pid)
}

/** /proc/PID/stat from its third field, state; nothing when the process is gone. */
function statFields(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}

function firstLine(child: ChildProcess, what: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let out = ''
    let complaint = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(-4000)
    })
    child.stdout?.on('data', (chunk: Buffer) => {
      out += chunk.toString()
      const end = out.indexOf('\n')
      if (end >= 0) resolve(out.slice(0, end))
    })
    child.once('exit', (code) => reject(new Error(`${what} ended with ${code}: ${complaint}`)))
  })
}
