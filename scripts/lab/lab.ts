// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { Daemons, type HookConfig } from './daemons.js'
import { Speaker } from './gobgp.js'
import { CUSTOMER_NETWORKS, LabNetwork, UPLINK_NAME } from './network.js'
import { ROOT } from './root.js'
import { Traffic, type TrafficOptions } from './traffic.js'

export interface LabConfig {
  /** Packets per second towards one address that make an attack. */
  thresholdPps: number
  banDuration?: string
  /** Default: the GoBGP hook. */
  hooks?: readonly HookConfig[]
  exportInterval?: string
  /** Without it there is no BGP session to wait for. */
  bgp?: boolean
  /** Further keys of agent.yaml. */
  agent?: Readonly<Record<string, unknown>>
  /** Further keys of aggregator.yaml. */
  aggregator?: Readonly<Record<string, unknown>>
}

export const GOBGP_HOOK: HookConfig = {
  name: 'gobgp',
  run: [join(ROOT, 'scripts', 'hooks', 'gobgp')],
  format: 'fastnetmon',
  timeout: '30s',
}

/** The whole picture: network, two BGP speakers, aggregator and agent on the edge's uplink. */
export class Lab {
  readonly network = new LabNetwork()
  readonly edge: Speaker
  readonly router: Speaker
  readonly daemons: Daemons
  readonly #bgp: boolean
  readonly #traffic = new Set<Traffic>()

  constructor({ bgp = true, hooks = [GOBGP_HOOK], ...config }: LabConfig) {
    this.#bgp = bgp
    this.edge = new Speaker(this.network, 'edge')
    this.router = new Speaker(this.network, 'router')
    this.daemons = new Daemons({
      ...config,
      namespace: this.network.namespaces.edge,
      folder: this.network.folder,
      interfaces: [UPLINK_NAME],
      networks: CUSTOMER_NETWORKS,
      hooks: bgp ? hooks : hooks.filter((hook) => hook !== GOBGP_HOOK),
    })
  }

  async start(): Promise<void> {
    await this.network.start()
    const speakers = this.#bgp ? [this.edge, this.router] : []
    await Promise.all([...speakers.map((speaker) => speaker.start()), this.daemons.start()])
    await Promise.all(speakers.map((speaker) => speaker.established()))
  }

  /** Starts a run of the generator; stop() ends it if nobody has. */
  send(options: TrafficOptions): Traffic {
    const traffic = new Traffic(this.network, options)
    this.#traffic.add(traffic)
    traffic.start()
    return traffic
  }

  /** Takes everything away, in whatever state it is. */
  async stop(): Promise<void> {
    try {
      await Promise.allSettled([...this.#traffic].map((traffic) => traffic.stop()))
      await Promise.allSettled([this.edge.stop(), this.router.stop(), this.daemons.stop()])
      this.#keepLogs()
    } finally {
      await this.network.stop()
    }
  }

  /** Logs and configurations go with the lab unless FLOWDAM_LAB_LOGS names a folder for them. */
  #keepLogs(): void {
    const folder = process.env['FLOWDAM_LAB_LOGS']
    if (!folder) return
    for (const name of readdirSync(this.network.folder).filter((file) => /\.(log|yaml|toml)$/.test(file))) {
      const target = join(folder, basename(this.network.folder))
      mkdirSync(target, { recursive: true })
      copyFileSync(join(this.network.folder, name), join(target, name))
    }
  }
}
