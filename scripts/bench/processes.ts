// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { SenderReport, SenderTask } from './sender.js'

const SENDER = fileURLToPath(new URL('sender.js', import.meta.url))
const SINK = fileURLToPath(new URL('sink.js', import.meta.url))

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
