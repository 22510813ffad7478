// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { command } from '@flowdam/scripts/lab/commands'
import { CUSTOMER_NETWORKS, LabNetwork, UPLINK_NAME } from '@flowdam/scripts/lab/network'
import { LabProcess } from '@flowdam/scripts/lab/process'
import { ROOT } from '@flowdam/scripts/lab/root'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { Link } from './link.js'

export const AGGREGATOR_PORT = 50060
const HTTP = { agent: '127.0.0.1:8081', aggregator: '127.0.0.1:8080' }

export type Daemon = 'agent' | 'aggregator'
export type LogLine = { level: string; msg: string; [key: string]: unknown }

/**
 * Both daemons as processes on an edge box in namespaces, the agent with pinned maps on a real interface, the
 * aggregator with its database, and a link between them that can fail.
 */
export class Field {
  readonly network = new LabNetwork()
  readonly link = new Link(this.network.namespaces.edge, AGGREGATOR_PORT)
  readonly #running: Partial<Record<Daemon, LabProcess>> = {}
  readonly #killed = new WeakSet<LabProcess>()

  get #mount(): string {
    return join(this.network.folder, 'bpf')
  }
  get storeFolder(): string {
    return join(this.network.folder, 'store')
  }
  get spoolFolder(): string {
    return join(this.network.folder, 'spool')
  }

  /** The network and the link; the daemons are started one by one. */
  async start(): Promise<void> {
    await this.network.start()
    mkdirSync(this.#mount)
    await command('mount', ['-t', 'bpf', 'bpf', this.#mount])
    await this.link.start()
    this.configure('agent')
    this.configure('aggregator')
  }

  async stop(): Promise<void> {
    await Promise.allSettled([this.end('agent', 'SIGTERM'), this.end('aggregator', 'SIGTERM')])
    await this.link.stop()
    this.#keepLogs()
    await command('umount', [this.#mount]).catch(() => undefined)
    await this.network.stop()
  }

  /** Writes a daemon's file: what the field needs, and `more`. */
  configure(daemon: Daemon, more: Readonly<Record<string, unknown>> = {}): void {
    const { folder } = this.network
    const object = process.env['FLOWDAM_BPF_OBJECT']
    const config =
      daemon === 'agent'
        ? {
            id: 'edge1',
            aggregator: `127.0.0.1:${this.link.port}`,
            interfaces: [UPLINK_NAME],
            export_interval: '200ms',
            keep_attached: true,
            pin_path: join(this.#mount, 'edge1'),
            spool: { path: this.spoolFolder, max: '256M' },
            http: HTTP.agent,
            ...(object !== undefined && { bpf_object: object }),
          }
        : {
            listen: { grpc: `127.0.0.1:${AGGREGATOR_PORT}`, http: HTTP.aggregator },
            state: join(folder, 'state'),
            networks: CUSTOMER_NETWORKS,
            store: { engine: 'embedded', path: this.storeFolder },
          }
    // JSON is YAML.
    writeFileSync(this.#config(daemon), JSON.stringify({ ...config, ...more }))
  }

  /** Starts a daemon's process; it need not be ready when this returns. */
  run(daemon: Daemon, args: readonly string[] = []): LabProcess {
    const { edge } = this.network.namespaces
    const main = join(ROOT, daemon, 'dist', 'main.js')
    const started = new LabProcess({
      name: `flowdam-${daemon}`,
      // Not `ip netns exec`: it mounts another /sys, and bpffs would be gone.
      program: 'nsenter',
      args: [`--net=/run/netns/${edge}`, process.execPath, main, '--config', this.#config(daemon), ...args],
      logFile: this.#log(daemon),
      capture: true,
    })
    started.start()
    if (args.length === 0) this.#running[daemon] = started
    return started
  }

  /** Ends a daemon by a signal, if it runs. */
  async end(daemon: Daemon, signal: NodeJS.Signals): Promise<void> {
    const process = this.#running[daemon]
    if (!process) return
    this.mustRun(daemon)
    this.#killed.add(process)
    await process.stop(signal)
  }

  pid(daemon: Daemon): number {
    return this.#running[daemon]?.pid ?? 0
  }

  signal(daemon: Daemon, signal: NodeJS.Signals): void {
    this.#running[daemon]?.signal(signal)
  }

  /** Throws when a daemon has ended and nobody ended it. */
  mustRun(daemon: Daemon): void {
    const process = this.#running[daemon]
    if (!process || process.running || this.#killed.has(process)) return
    throw new Error(`${process.name} has ended by itself:\n${process.logTail()}`)
  }

  /** The lines of all runs of a daemon so far. */
  lines(daemon: Daemon): LogLine[] {
    return readFileSync(this.#log(daemon), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .flatMap((line) => {
        try {
          return [JSON.parse(line) as LogLine]
        } catch {
          // Written in part when it was killed.
          return []
        }
      })
  }

  /** Values by name with labels; undefined while nobody answers. */
  async metrics(daemon: Daemon): Promise<ReadonlyMap<string, number> | undefined> {
    this.mustRun(daemon)
    const text = await this.link.fetch(`http://${HTTP[daemon]}/metrics`).catch(() => undefined)
    if (text === undefined) return undefined
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    return new Map(
      lines.map((line) => {
        const at = line.lastIndexOf(' ')
        return [line.slice(0, at), Number(line.slice(at + 1))]
      }),
    )
  }

  /** Waits until a daemon's metrics are as `holds` says. */
  async until(
    what: string,
    daemon: Daemon,
    holds: (value: (name: string) => number) => boolean,
    limitMs?: number,
  ): Promise<void> {
    await waitFor(
      what,
      async () => {
        const metrics = await this.metrics(daemon)
        return metrics !== undefined && holds((name) => metrics.get(name) ?? Number.NaN)
      },
      limitMs,
    )
  }

  /** Packets that the uplink has received and sent, by the kernel's own counters. */
  async uplink(): Promise<{ rx: number; tx: number }> {
    const args = ['-n', this.network.namespaces.edge, '-j', '-s', 'link', 'show', UPLINK_NAME]
    const [{ stats64 }] = JSON.parse(await command('ip', args)) as [
      { stats64: Record<'rx' | 'tx', { packets: number }> },
    ]
    return { rx: stats64.rx.packets, tx: stats64.tx.packets }
  }

  /** Gone with the network's folder, unless FLOWDAM_LAB_LOGS names another. */
  #keepLogs(): void {
    const folder = process.env['FLOWDAM_LAB_LOGS']
    if (!folder) return
    mkdirSync(folder, { recursive: true })
    for (const daemon of ['agent', 'aggregator'] as const) {
      if (this.#running[daemon]) copyFileSync(this.#log(daemon), join(folder, `field-${daemon}.log`))
    }
  }

  #config(daemon: Daemon): string {
    return join(this.network.folder, `${daemon}.yaml`)
  }
  #log(daemon: Daemon): string {
    return join(this.network.folder, `${daemon}.log`)
  }
}
