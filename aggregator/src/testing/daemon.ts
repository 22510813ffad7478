// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url))

/** One call of the recording hook. */
export interface HookCall {
  argv: string[]
  env: Record<string, string>
  stdin: string
}

export type LogEntry = Record<string, unknown>

/** Waits for a condition, not for a time; gives up loudly when something is wrong for good. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false,
  limitMs = 120_000,
): Promise<T> {
  const end = performance.now() + limitMs
  for (;;) {
    const value = probe()
    if (value !== undefined && value !== false) return value
    if (performance.now() > end) throw new Error(`gave up waiting for ${what}`)
    await sleep(20)
  }
}

/** A real flowdam-aggregator process in a folder of its own, with a hook that records what it is given. */
export class TestDaemon {
  readonly folder = mkdtempSync(join(tmpdir(), 'flowdam-daemon-'))
  readonly hook = join(this.folder, 'hook.sh')
  readonly configFile = join(this.folder, 'aggregator.yaml')
  #child: ChildProcess | undefined
  log = ''

  constructor() {
    writeFileSync(
      this.hook,
      `#!/bin/sh
at=$(mktemp -d "${this.folder}/call.XXXXXX")
printf '%s\\n' "$@" > "$at/argv"
env | grep ^FLOWDAM_ > "$at/env"
cat > "$at/stdin"
echo "$at" >> "${this.folder}/calls"
echo "said $4"
`,
    )
    chmodSync(this.hook, 0o755)
  }

  configure(text: string): void {
    writeFileSync(
      this.configFile,
      `listen: { grpc: '127.0.0.1:0', http: '127.0.0.1:0' }\nstate: ${this.folder}/state\nstore: { engine: embedded, path: ${this.folder}/store }\n${text}`,
    )
  }

  /** Starts the daemon; resolves with its addresses when it serves. */
  async start(): Promise<{ grpc: string; http: string }> {
    this.log = ''
    const child = spawn(process.execPath, [MAIN, '--config', this.configFile], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // The addresses come from the log, whatever the tests' own level is.
      env: { ...process.env, FLOWDAM_LOG: 'info' },
    })
    this.#child = child
    child.stderr?.on('data', (chunk: Buffer) => {
      this.log += chunk.toString()
    })
    const started = await until('the daemon to start', () => {
      if (child.exitCode !== null) throw new Error(`the daemon ended: ${this.log}`)
      return this.#logLine('aggregator started')
    }).catch((error: unknown) => {
      // Left alive it would keep the test's process from ending.
      child.kill('SIGKILL')
      throw error
    })
    return { grpc: String(started['grpc']), http: String(started['http']) }
  }

  #logLine(message: string, matches = (_: LogEntry) => true): LogEntry | undefined {
    for (const line of this.log.split('\n').slice(0, -1)) {
      const entry = JSON.parse(line) as LogEntry
      if (entry['msg'] === message && matches(entry)) return entry
    }
    return undefined
  }

  /** The first line with this message since the start. */
  logged(message: string): Promise<LogEntry> {
    return until(`'${message}' in the log`, () => this.#logLine(message))
  }

  /** The same, of those that `matches` accepts. */
  loggedWhere(message: string, matches: (entry: LogEntry) => boolean): Promise<LogEntry> {
    return until(`'${message}' in the log`, () => this.#logLine(message, matches))
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  /** Ends it by a signal; resolves with its exit code, null when a signal ended it. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child
    if (!child) return null
    const ended = new Promise<number | null>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode)
      else child.once('exit', resolve)
    })
    child.kill(signal)
    this.#child = undefined
    return ended
  }

  /** What the hook was given so far, in the order in which the calls ended. */
  calls(): HookCall[] {
    const index = join(this.folder, 'calls')
    if (!existsSync(index)) return []
    return readFileSync(index, 'utf8')
      .trim()
      .split('\n')
      .map((at) => ({
        argv: readFileSync(join(at, 'argv'), 'utf8').trim().split('\n'),
        env: Object.fromEntries(
          readFileSync(join(at, 'env'), 'utf8')
            .trim()
            .split('\n')
            .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
        ),
        stdin: readFileSync(join(at, 'stdin'), 'utf8'),
      }))
  }

  async cleanUp(): Promise<void> {
    // A clean stop takes the database and the launcher along, which write to the folder.
    await this.end('SIGTERM')
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
}
