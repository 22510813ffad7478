// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { inNamespace } from './commands.js'

export interface ProcessOptions {
  /** For messages. */
  name: string
  program: string
  args: readonly string[]
  /** Undefined: ours. */
  namespace?: string
  /** Receives standard error, and standard output unless it is captured. */
  logFile: string
  /** Keeps standard output for `output()`. */
  capture?: boolean
  /** Gets each line of standard output as it comes, instead. */
  onLine?: (line: string) => void
  env?: Readonly<Record<string, string>>
}

export interface ProcessEnd {
  code: number | null
  signal: NodeJS.Signals | null
}

/** Longer than a busy machine needs for what a clean stop writes: a daemon that is killed leaves its database behind. */
const STOP_MS = 60_000

/** A program that runs beside the lab, most often in a namespace. In a session of its own: the lab ends it, not Ctrl-C. */
export class LabProcess {
  readonly name: string
  readonly #options: ProcessOptions
  #child: ChildProcess | undefined
  #output = ''
  #end: Promise<ProcessEnd> | undefined
  #ended: ProcessEnd | undefined

  constructor(options: ProcessOptions) {
    this.name = options.name
    this.#options = options
  }

  start(): void {
    const { program, args, namespace, logFile, capture = false, onLine, env } = this.#options
    // The guard ends what is in a namespace when we die; elsewhere the kernel does.
    const [file, argv] = namespace
      ? inNamespace(namespace, program, args)
      : ['setpriv', ['--pdeathsig', 'TERM', program, ...args]]
    const log = openSync(logFile, 'a')
    const child = spawn(file, argv, {
      stdio: ['ignore', capture || onLine ? 'pipe' : log, log],
      detached: true,
      env: { ...process.env, ...env },
    })
    closeSync(log)
    this.#child = child
    if (onLine && child.stdout) createInterface(child.stdout).on('line', onLine)
    else child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#keep(text))
    this.#end = new Promise((resolve, reject) => {
      child.once('error', (cause) => reject(new Error(`cannot start ${file}`, { cause })))
      // 'close' comes after the last output, 'exit' may not.
      child.once('close', (code, signal) => {
        this.#ended = { code, signal }
        resolve(this.#ended)
      })
    })
    // Whoever waits sees the error; nobody has to.
    this.#end.catch(() => {})
  }

  #keep(text: string): void {
    this.#output += text
  }

  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error(`${this.name} is not running`)
    return pid
  }

  get running(): boolean {
    return this.#child !== undefined && this.#ended === undefined
  }

  /** Resolves when the program has ended by itself or was stopped. */
  ended(): Promise<ProcessEnd> {
    return this.#end ?? Promise.reject(new Error(`${this.name} was not started`))
  }

  /** Standard output so far, when captured. */
  output(): string {
    return this.#output
  }

  /** The end of its log, for error messages. */
  logTail(lines = 20): string {
    return readFileSync(this.#options.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) process.kill(this.pid, signal)
  }

  /** Asks it to end, and ends it by SIGKILL when it takes too long. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<ProcessEnd | undefined> {
    if (!this.#child) return undefined
    this.signal(signal)
    const kill = setTimeout(() => this.signal('SIGKILL'), STOP_MS)
    try {
      return await this.ended()
    } finally {
      clearTimeout(kill)
    }
  }
}
