// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LabNetwork } from './network.js'
import { TRAFFIC_FROM } from './network.js'
import { LabProcess } from './process.js'
import { ROOT } from './root.js'

export const TRAFFIC_PROGRAM = join(ROOT, 'build', 'flowdam-traffic')

export interface Sums {
  packets: number
  /** Layer-3 bytes. */
  bytes: number
  flows: number
}

/** What flowdam-traffic prints at its end. */
export interface TrafficReport extends Sums {
  ipv4: Sums
  ipv6: Sums
  retries: number
  /** Packets of the sums above that the veth dropped; see `report()`. */
  device_dropped: number
  started_unix_ms: number
  ended_unix_ms: number
  elapsed_s: number
  pps: number
}

export interface FlowSent {
  packets: number
  bytes: number
  tcpFlags: number
  dscp: number
  ttl: number
}

export interface TrafficOptions {
  /** Where it comes from; its direction follows. */
  from: keyof typeof TRAFFIC_FROM
  /** Options of flowdam-traffic, without interface, next hop and direction. */
  args: readonly string[]
  perFlow?: boolean
}

/** Exit status: all sent, but not all kept. */
const DEVICE_DROPPED = 3

let started = 0

/** A run of the generator inside the lab. */
export class Traffic {
  readonly #process: LabProcess
  readonly #perFlow: string | undefined

  constructor(network: LabNetwork, options: TrafficOptions) {
    started += 1
    const from = TRAFFIC_FROM[options.from]
    const file = join(network.folder, `traffic-${started}`)
    this.#perFlow = options.perFlow ? `${file}.flows` : undefined
    this.#process = new LabProcess({
      name: `flowdam-traffic ${options.args.join(' ')}`,
      program: TRAFFIC_PROGRAM,
      args: [
        ...['--interface', from.interface, '--dest-mac', from.nextHopMac],
        ...['--direction', options.from === 'internet' ? 'in' : 'out'],
        ...(this.#perFlow ? ['--per-flow', this.#perFlow] : []),
        ...options.args,
      ],
      namespace: network.namespaces[options.from],
      logFile: `${file}.log`,
      capture: true,
    })
  }

  start(): void {
    this.#process.start()
  }

  /** When it has sent all; throws when anything was not sent exactly. */
  async ended(): Promise<TrafficReport> {
    const report = await this.report()
    if (report.device_dropped > 0) {
      const why = 'no backpressure on this kernel? Linux has it since 6.16'
      throw new Error(`${this.#process.name}: the veth dropped ${report.device_dropped} packets (${why})`)
    }
    return report
  }

  /**
   * When it has sent all. Linux before 6.16 drops packets where a veth's ring of 256 is full instead of making the sender
   * wait; how many is exact, of which flows is not known.
   */
  async report(): Promise<TrafficReport> {
    const { code, signal } = await this.#process.ended()
    if (code !== 0 && code !== DEVICE_DROPPED) {
      throw new Error(`${this.#process.name}: ${signal ?? `exit status ${code}`}\n${this.#process.logTail()}`)
    }
    return JSON.parse(this.#process.output()) as TrafficReport
  }

  /** Ends it early; the report counts what was sent until then. */
  async stop(): Promise<TrafficReport> {
    this.halt()
    return await this.ended()
  }

  /** Asks it to end; `report()` waits for that. */
  halt(): void {
    this.#process.signal('SIGTERM')
  }

  /** By key: source, destination, source port, destination port, protocol, vlan, joined by spaces. */
  flows(): Map<string, FlowSent> {
    if (!this.#perFlow) throw new Error('the generator was not asked for flows')
    const lines = readFileSync(this.#perFlow, 'utf8').trimEnd().split('\n').slice(1)
    return new Map(
      lines.map((line) => {
        const fields = line.split('\t')
        const [packets, bytes, tcpFlags, dscp, ttl] = fields.slice(6).map(Number) as Five
        return [fields.slice(0, 6).join(' '), { packets, bytes, tcpFlags, dscp, ttl }]
      }),
    )
  }
}

type Five = [number, number, number, number, number]
