// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { kernelAtLeast } from '@flowdam/agent/internal/kernel/requirements'
import { commandIn } from '@flowdam/scripts/lab/commands'
import { CUSTOMER_NETWORKS, LabNetwork, UPLINK_NAME } from '@flowdam/scripts/lab/network'
import { LabProcess } from '@flowdam/scripts/lab/process'
import { ROOT } from '@flowdam/scripts/lab/root'
import { Traffic, type TrafficReport } from '@flowdam/scripts/lab/traffic'
import { waitFor } from '@flowdam/scripts/lab/wait'
import type { Attached } from './attached-program.js'
import { Ingest, type IngestOptions, type IngestReport } from './ingest.js'

/** An edge box in namespaces with the agent on its uplink and a test aggregator beside it. */
export class Box {
  readonly network = new LabNetwork()
  readonly ingest: Ingest
  #agents = 0
  #agent: LabProcess | undefined

  constructor(ingestOptions: IngestOptions = {}) {
    this.ingest = new Ingest(this.network.namespaces.edge, CUSTOMER_NETWORKS, ingestOptions)
  }

  async start(): Promise<void> {
    await this.network.start()
    await this.ingest.start()
  }

  async stop(): Promise<void> {
    await this.ingest.stop()
    await this.network.stop()
  }

  /**
   * An agent process with this configuration beside the defaults; not started. `seesPins`: enters the network namespace
   * only, so that bpffs stays visible (`ip netns exec` mounts another /sys).
   */
  agent(
    config: Readonly<Record<string, unknown>> = {},
    { seesPins = false, args = [] as readonly string[] } = {},
  ): LabProcess {
    const name = `agent${++this.#agents}`
    const file = join(this.network.folder, `${name}.yaml`)
    // JSON is YAML.
    const object = process.env['FLOWDAM_BPF_OBJECT']
    const all = {
      id: 'edge1',
      interfaces: [UPLINK_NAME],
      export_interval: '500ms',
      // The tests are for any object: of the other linker, of another build.
      ...(object !== undefined && { bpf_object: object }),
      ...config,
    }
    writeFileSync(file, JSON.stringify(all))
    const { edge } = this.network.namespaces
    const command = [process.execPath, join(ROOT, 'agent', 'dist', 'main.js'), '--config', file, ...args]
    const common = { name, logFile: join(this.network.folder, `${name}.log`), capture: true }
    this.#agent = seesPins
      ? new LabProcess({ ...common, program: 'nsenter', args: [`--net=/run/netns/${edge}`, ...command] })
      : new LabProcess({ ...common, program: command[0] ?? '', args: command.slice(1), namespace: edge })
    return this.#agent
  }

  /** Waits until an agent's stream is there and says that it counts on the uplink. */
  async counting(): Promise<void> {
    await this.until('the agent to count', ({ interfaces }) =>
      interfaces.some(({ name, attachMode }) => name === UPLINK_NAME && attachMode !== 'absent'),
    )
  }

  async until(what: string, ask: (report: IngestReport) => boolean): Promise<IngestReport> {
    return await waitFor(what, async () => {
      if (this.#agent && !this.#agent.running)
        throw new Error(`the agent has ended:\n${this.#agent.logTail()}`)
      const report = await this.ingest.report()
      return ask(report) ? report : undefined
    })
  }

  /** Sends traffic from the internet, until all of it has arrived. */
  async send(...args: string[]): Promise<TrafficReport> {
    const before = (await this.uplink()).rx
    const traffic = new Traffic(this.network, { from: 'internet', args })
    traffic.start()
    const sent = await traffic.ended()
    await this.received(before + sent.packets)
    return sent
  }

  /** Packets that the uplink has received and sent, by the kernel's own counters. */
  async uplink(): Promise<{ rx: number; tx: number }> {
    const text = await commandIn(this.network.namespaces.edge, 'ip', [
      '-j',
      '-s',
      'link',
      'show',
      UPLINK_NAME,
    ])
    const [{ stats64 }] = JSON.parse(text) as [{ stats64: Record<'rx' | 'tx', { packets: number }> }]
    return { rx: stats64.rx.packets, tx: stats64.tx.packets }
  }

  /** Waits until the uplink has received so many: sent is not yet received. */
  async received(packets: number): Promise<void> {
    await waitFor(`${packets} packets to arrive`, async () =>
      (await this.uplink()).rx >= packets ? true : undefined,
    )
  }

  /** What is attached to the uplink. */
  async attached(): Promise<Attached> {
    const program = new URL('./attached-program.js', import.meta.url).pathname
    const text = await commandIn(this.network.namespaces.edge, process.execPath, [program, UPLINK_NAME])
    return JSON.parse(text) as Attached
  }
}

/** Nothing of ours. */
export const NOTHING: Attached = { xdp: 'none', tcx: [], filters: [], clsact: false }

/** Before Linux 6.6 a clsact filter counts what leaves, which no kill -9 takes away. */
export const WITHOUT_TCX = !kernelAtLeast('6.6')
const EGRESS = WITHOUT_TCX ? { filters: ['flowdam_tc'], clsact: true } : { tcx: ['flowdam_tc'] }
/** The agent of both directions. */
export const COUNTING: Attached = { ...NOTHING, xdp: 'native', ...EGRESS }
/** What a kill -9 leaves. */
export const KILLED: Attached = WITHOUT_TCX ? { ...NOTHING, ...EGRESS } : NOTHING

export { UPLINK_NAME }
