// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { SenderReport, SenderTask } from './sender.js'
import type { UplinkReport, UplinkTask } from './uplink-sender.js'

const SENDER = fileURLToPath(new URL('sender.js', import.meta.url))
const UPLINK = fileURLToPath(new URL('uplink-sender.js', import.meta.url))
const TCP = fileURLToPath(new URL('tcp-peer.js', import.meta.url))
const SINK = fileURLToPath(new URL('sink.js', import.meta.url))

/** Pushes records from a process of its own. */
export async function runSender(task: SenderTask): Promise<SenderReport> {
  const child = spawn(process.execPath, [SENDER, JSON.stringify(task)], { stdio: ['ignore', 'pipe', 'pipe'] })
  return JSON.parse(await firstLine(child, 'sender')) as SenderReport
}

/** The same with the agent's own queue and uplink. */
export async function runUplink(task: UplinkTask): Promise<UplinkReport> {
  const child = spawn(process.execPath, [UPLINK, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, FLOWDAM_LOG: 'warn' },
  })
  return JSON.parse(await firstLine(child, 'uplink')) as UplinkReport
}

/** So many bytes to a receiver that {@link startTcpReceiver} started. */
export async function runTcpSender(
  port: number,
  bytes: number,
): Promise<{ seconds: number; cpuSeconds: number }> {
  const child = spawn(process.execPath, [TCP, JSON.stringify({ port, bytes })], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return JSON.parse(await firstLine(child, 'TCP sender')) as { seconds: number; cpuSeconds: number }
}

/** A process that takes what benches send, and says what that cost it. */
export interface Receiving {
  address: string
  /** User and system, of process.cpuUsage(), since it began. */
  cpuSeconds: () => Promise<number>
  stop: () => void
}

/** An ingest that keeps nothing; `narrow`: with the HTTP/2 windows that gRPC comes with. */
export function startSink(windows: 'wide' | 'narrow' = 'wide'): Promise<Receiving> {
  return startReceiver(SINK, [windows])
}

export function startTcpReceiver(): Promise<Receiving> {
  return startReceiver(TCP, [])
}

async function startReceiver(program: string, args: readonly string[]): Promise<Receiving> {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, FLOWDAM_LOG: 'warn' },
  })
  const { address } = JSON.parse(await firstLine(child, 'receiver')) as { address: string }
  return {
    address,
    cpuSeconds: async () => {
      const line = firstLine(child, 'receiver')
      child.stdin.write('cpu\n')
      return (JSON.parse(await line) as { cpuSeconds: number }).cpuSeconds
    },
    stop: () => child.stdin.end(),
  }
}

/** The next line it prints. */
function firstLine(child: ChildProcess, what: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let out = ''
    let complaint = ''
    const complain = (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(-4000)
    }
    const read = (chunk: Buffer) => {
      out += chunk.toString()
      const end = out.indexOf('\n')
      if (end < 0) return
      forget()
      resolve(out.slice(0, end))
    }
    const gone = (code: number | null) => reject(new Error(`${what} ended with ${code}: ${complaint}`))
    const forget = () => {
      child.stdout?.off('data', read)
      child.stderr?.off('data', complain).resume()
      child.off('exit', gone)
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', complain)
    child.once('exit', gone)
  })
}
