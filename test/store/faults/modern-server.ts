// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { failstopLibrary } from '@flowdam/aggregator/internal/store/embedded/installed'
import { freePort } from '../free-port.js'

const PROGRAM = fileURLToPath(new URL('./chdb-server.js', import.meta.url))

/** chdb-server.ts as a process; started again it has the same port and the same data. */
export class ModernServer {
  readonly #folder: string
  #child: ChildProcess | undefined
  #port = 0

  /** An existing folder. */
  constructor(folder: string) {
    this.#folder = folder
  }

  get port(): number {
    return this.#port
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  async start(): Promise<void> {
    this.#port ||= await freePort()
    const child = spawn(process.execPath, [PROGRAM, this.#folder, String(this.#port)], {
      // A server that cannot write says so; chdb does not, and ends instead (aggregator/native).
      env: { ...process.env, LD_PRELOAD: failstopLibrary() },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#child = child
    const exit = once(child, 'exit')
    const serves = once(child.stdout as NodeJS.ReadableStream, 'data')
    await Promise.race([serves, exit.then(() => Promise.reject(new Error('the server did not start')))])
  }

  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  async query<Row>(sql: string): Promise<Row[]> {
    const response = await fetch(`http://127.0.0.1:${this.#port}/`, {
      method: 'POST',
      body: sql.startsWith('SYSTEM') ? sql : `${sql} FORMAT JSONEachRow`,
    })
    const text = await response.text()
    if (!response.ok) throw new Error(text)
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Row)
  }
}
