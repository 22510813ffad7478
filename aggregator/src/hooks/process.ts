// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process'
import type { HookResult } from '../bans/ban.js'

/** Kept of what a hook prints. */
export const OUTPUT_BYTES = 4096
/** Between TERM and KILL. */
const GRACE_MS = 2000
/** What is not gone so long after KILL, because it became another user's or hangs in the kernel, is left alone. */
const GIVE_UP_MS = 3000
/** A hook may leave a child behind that holds its stdout; we wait this long for the rest of the output. */
const DRAIN_MS = 100

export interface HookCommand {
  file: string
  args: readonly string[]
  stdin: string
  /** Beside what this process has. */
  env: Readonly<Record<string, string>>
  timeoutMs: number
}

export interface HookOutcome {
  result: Exclude<HookResult, 'running'>
  exitCode: number
  output: string
}

/**
 * Runs one hook in a process group of its own, without a shell. Never rejects. After the time limit the whole group
 * gets TERM, then KILL. `onStart` is called when the process exists. `kill` is for tests.
 */
export function runHook(
  command: HookCommand,
  onStart: () => void,
  kill: typeof process.kill = process.kill,
): Promise<HookOutcome> {
  return new Promise((resolve) => {
    const output = new OutputHead()
    let child: ChildProcess
    try {
      child = spawn(command.file, command.args, {
        env: { ...process.env, ...command.env },
        detached: true,
        stdio: 'pipe',
      })
    } catch (error) {
      // Arguments that no process can have, a NUL byte for instance.
      resolve({ result: 'failed', exitCode: -1, output: String(error) })
      return
    }
    let timedOut = false
    let killTimer: NodeJS.Timeout | undefined
    const signalGroup = (signal: NodeJS.Signals) => {
      if (child.pid === undefined) return
      try {
        kill(-child.pid, signal)
      } catch {
        // The whole group is gone already, or not ours to end.
      }
    }
    const timer = setTimeout(() => {
      timedOut = true
      signalGroup('SIGTERM')
      killTimer = setTimeout(() => {
        signalGroup('SIGKILL')
        killTimer = setTimeout(() => {
          output.add(Buffer.from(`\n(still running ${GIVE_UP_MS} ms after KILL)`))
          finish({ result: 'timeout', exitCode: -1, output: output.text() })
        }, GIVE_UP_MS)
      }, GRACE_MS)
    }, command.timeoutMs)
    const finish = (outcome: HookOutcome) => {
      clearTimeout(timer)
      clearTimeout(killTimer)
      child.stdout?.destroy()
      child.stderr?.destroy()
      resolve(outcome)
    }
    child.once('spawn', onStart)
    child.once('error', (error) => finish({ result: 'failed', exitCode: -1, output: String(error) }))
    child.stdout?.on('data', (chunk: Buffer) => output.add(chunk))
    child.stderr?.on('data', (chunk: Buffer) => output.add(chunk))
    let closed = false
    child.once('close', () => {
      closed = true
    })
    child.once('exit', (code, signal) => {
      const result = timedOut ? 'timeout' : code === 0 ? 'ok' : 'failed'
      const done = () => {
        if (timedOut) output.add(Buffer.from(`\n(ended after its time limit of ${command.timeoutMs} ms)`))
        else if (signal) output.add(Buffer.from(`\n(ended by ${signal})`))
        finish({ result, exitCode: code ?? -1, output: output.text() })
      }
      // What the hook left running in its group after a timeout goes with it.
      if (timedOut) signalGroup('SIGKILL')
      if (closed) done()
      else {
        const drain = setTimeout(done, DRAIN_MS)
        child.once('close', () => {
          clearTimeout(drain)
          done()
        })
      }
    })
    // A hook that does not read its stdin is no error.
    child.stdin?.on('error', () => {})
    child.stdin?.end(command.stdin)
  })
}

/** The first bytes of a stream. */
class OutputHead {
  readonly #chunks: Buffer[] = []
  #length = 0

  add(chunk: Buffer): void {
    const rest = OUTPUT_BYTES - this.#length
    if (rest <= 0) return
    this.#chunks.push(chunk.subarray(0, rest))
    this.#length += Math.min(rest, chunk.length)
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString('utf8')
  }
}
