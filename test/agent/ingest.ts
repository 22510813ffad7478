// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { DropRule, Heartbeat, Hello, Interface } from '@flowdam/proto'
import { inNamespace } from '@flowdam/scripts/lab/commands'

export interface Sums {
  packets: number
  bytes: number
  flows: number
}

/** What the test aggregator has got so far. */
export interface IngestReport {
  hellos: Hello[]
  interfaces: Interface[]
  /** The last one. */
  heartbeats: Heartbeat[]
  /** seq of each batch as it came first. */
  batches: number[]
  duplicates: number
  records: Sums
  overflow: Sums
  /** Of both, records with the mark of a drop rule. */
  dropped: Sums
  /** By source, destination, ports, protocol, vlan. */
  flows: Record<string, { packets: number; bytes: number }>
  /** Sums of ledgers by iface byte. */
  ledgers: Record<number, Record<string, number>>
  incoming: Sums
  outgoing: Sums
  /** Host deltas by `address in` and `address out`. */
  hosts: Record<string, Sums>
  deltaMessages: number
}

export interface IngestOptions {
  acknowledges?: boolean
  acknowledgesAfterMs?: number
}

/** The test aggregator as a process inside a namespace. */
export class Ingest {
  readonly #namespace: string
  readonly #args: readonly string[]
  #child: ChildProcess | undefined

  constructor(
    namespace: string,
    networks: readonly string[],
    { acknowledges = true, acknowledgesAfterMs = 0 }: IngestOptions = {},
  ) {
    this.#namespace = namespace
    this.#args = ['50060', networks.join(','), acknowledges ? String(acknowledgesAfterMs || 'yes') : 'no']
  }

  async start(): Promise<void> {
    const program = new URL('./ingest-program.js', import.meta.url).pathname
    const [file, args] = inNamespace(this.#namespace, process.execPath, [program, ...this.#args])
    this.#child = spawn(file, args, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    })
    await once(this.#child, 'message')
  }

  async report(): Promise<IngestReport> {
    return await this.#ask('report')
  }

  /** Sends the agents these drop rules. */
  async rules(rules: readonly DropRule[]): Promise<void> {
    await this.#ask({ rules })
  }

  async #ask(question: 'report' | { rules: readonly DropRule[] }): Promise<IngestReport> {
    const child = this.#child as ChildProcess
    child.send(question)
    const [report] = (await once(child, 'message')) as [IngestReport]
    return report
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
}
