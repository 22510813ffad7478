// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander'
import { Client } from './client.js'
import { usageError } from './command-error.js'
import { renderJson } from './output/json.js'
import { describeTerminal, type Terminal } from './output/terminal.js'
import { findToken } from './token.js'

/** Of a stream, what is used: process.stdout has it all, a pipe only write(). */
export interface Output {
  write(text: string): boolean
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

/** What the command touches of the world; the process's own in main.ts. */
export interface World {
  readonly stdout: Output
  readonly stderr: Output
  readonly env: NodeJS.ProcessEnv
  now(): number
}

export interface GlobalOptions {
  server: string
  json?: true
  /** Milliseconds; absent when not typed, so that a slow command can have a longer default. */
  timeout?: number
  tokenFile?: string
  insecure?: true
  ca?: string
  cert?: string
  key?: string
}

/** One run of one command: where it writes, and its connection, made when first used. */
export class Session {
  readonly json: boolean
  readonly #world: World
  readonly #options: GlobalOptions
  readonly #defaultTimeoutMs: number
  #client: Client | undefined

  constructor(world: World, options: GlobalOptions, defaultTimeoutMs: number) {
    this.json = options.json === true
    this.#world = world
    this.#options = options
    this.#defaultTimeoutMs = defaultTimeoutMs
  }

  get client(): Client {
    this.#client ??= this.#connect()
    return this.#client
  }

  get env(): NodeJS.ProcessEnv {
    return this.#world.env
  }

  /** As it is now: a window can be resized while a watch runs. */
  get terminal(): Terminal {
    return describeTerminal(this.#world.stdout, this.#world.env)
  }

  /** Lines of the terminal; 24 where nobody knows. */
  get rows(): number {
    return this.#world.stdout.rows || 24
  }

  now(): number {
    return this.#world.now()
  }

  write(text: string): void {
    this.#world.stdout.write(text)
  }

  /** For people, beside what the command was asked for. */
  note(text: string): void {
    this.#world.stderr.write(text)
  }

  /** The one document that `--json` prints. */
  writeJson(message: object): void {
    this.write(renderJson(message, 'document'))
  }

  /** One of many: a watch prints an object per line. */
  writeJsonLine(message: object): void {
    this.write(renderJson(message, 'line'))
  }

  close(): void {
    this.#client?.close()
  }

  #connect(): Client {
    const { server, timeout, ca, cert, key } = this.#options
    if (ca === undefined && (cert !== undefined || key !== undefined)) {
      throw usageError('--cert and --key need --ca, the certificate authority of the aggregator')
    }
    if ((cert === undefined) !== (key === undefined)) throw usageError('--cert and --key belong together')
    const tls = ca === undefined ? undefined : { ca, ...(cert && { cert }), ...(key && { key }) }
    const token = findToken(this.#options, this.#world.env)
    return new Client({
      server,
      timeoutMs: timeout ?? this.#defaultTimeoutMs,
      ...(token !== undefined && { token }),
      ...(tls && { tls }),
    })
  }
}

const ANSWER_WITHIN_MS = 5_000

/** Runs `act` in a session made from the options that `command` was given, and takes its connection down after it. */
export async function inSession(
  world: World,
  command: Command,
  act: (session: Session) => Promise<void>,
  defaultTimeoutMs = ANSWER_WITHIN_MS,
): Promise<void> {
  const session = new Session(world, command.optsWithGlobals<GlobalOptions>(), defaultTimeoutMs)
  try {
    await act(session)
  } finally {
    session.close()
  }
}
