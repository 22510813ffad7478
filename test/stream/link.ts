// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { inNamespace } from '@flowdam/scripts/lab/commands'

export type LinkOrder = 'cut' | 'restore' | 'freeze' | { slow: number } | { fetch: string }
export interface LinkAnswer {
  id: number
  text?: string
  failed?: string
}

/** A delaying TCP proxy to a port of a namespace's loopback, in that namespace. Cut, slowed and frozen from outside. */
export class Link {
  readonly #namespace: string
  readonly #target: number
  readonly #waiting = new Map<number, (answer: LinkAnswer) => void>()
  #child: ChildProcess | undefined
  #orders = 0
  port = 0

  constructor(namespace: string, target: number) {
    this.#namespace = namespace
    this.#target = target
  }

  async start(oneWayMs = 1): Promise<void> {
    const program = new URL('./link-program.js', import.meta.url).pathname
    const args = [program, String(this.#target), String(oneWayMs)]
    const [file, argv] = inNamespace(this.#namespace, process.execPath, args)
    const child = spawn(file, argv, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#child = child
    const [{ text }] = (await once(child, 'message')) as [LinkAnswer]
    this.port = Number(text)
    child.on('message', (answer: LinkAnswer) => {
      this.#waiting.get(answer.id)?.(answer)
      this.#waiting.delete(answer.id)
    })
  }

  /** Ends all connections and refuses new ones until `restore`. */
  async cut(): Promise<void> {
    await this.#ask('cut')
  }
  async restore(): Promise<void> {
    await this.#ask('restore')
  }
  /** What is connected goes silent for ever; new connections work. */
  async freeze(): Promise<void> {
    await this.#ask('freeze')
  }
  async slow(oneWayMs: number): Promise<void> {
    await this.#ask({ slow: oneWayMs })
  }
  /** A page that only processes in the namespace can reach. */
  async fetch(url: string): Promise<string> {
    return await this.#ask({ fetch: url })
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async #ask(order: LinkOrder): Promise<string> {
    const id = ++this.#orders
    const answered = new Promise<LinkAnswer>((resolve) => this.#waiting.set(id, resolve))
    this.#child?.send({ id, order })
    const { text = '', failed } = await answered
    if (failed !== undefined) throw new Error(failed)
    return text
  }
}
