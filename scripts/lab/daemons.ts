// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Agent, GetStatusResponse } from '@flowdam/proto'
import { Api } from './api.js'
import { LabProcess } from './process.js'
import { ROOT } from './root.js'
import { waitFor } from './wait.js'

// design: the daemons' documented defaults.
const GRPC_PORT = 50060
const HTTP_PORT = 8080

export interface HookConfig {
  name: string
  run: readonly string[]
  format: 'fastnetmon' | 'json'
  timeout: string
}

export interface DaemonsOptions {
  /** Where both run; undefined: here, on the machine's own network. */
  namespace?: string
  folder: string
  interfaces: readonly string[]
  networks: readonly string[]
  /** Packets per second towards one address that make an attack. */
  thresholdPps: number
  banDuration?: string
  dryRun?: boolean
  hooks?: readonly HookConfig[]
  exportInterval?: string
  /** Further keys of agent.yaml. */
  agent?: Readonly<Record<string, unknown>>
  /** Further keys of aggregator.yaml. */
  aggregator?: Readonly<Record<string, unknown>>
}

/** An aggregator with its embedded store and one agent, as processes with configuration files, like on a real box. */
export class Daemons {
  readonly #options: DaemonsOptions
  readonly #relay: LabProcess | undefined
  #agent: LabProcess
  #aggregator: LabProcess
  #api: Api | undefined

  constructor(options: DaemonsOptions) {
    this.#options = options
    this.#aggregator = this.#daemon('aggregator')
    this.#agent = this.#daemon('agent')
    if (options.namespace !== undefined) {
      this.#relay = new LabProcess({
        name: 'relay',
        program: process.execPath,
        args: [
          join(ROOT, 'scripts', 'dist', 'lab', 'relay.js'),
          `${this.#socket('grpc')}=${GRPC_PORT}`,
          `${this.#socket('http')}=${HTTP_PORT}`,
        ],
        namespace: options.namespace,
        logFile: join(options.folder, 'relay.log'),
      })
    }
  }

  get aggregator(): LabProcess {
    return this.#aggregator
  }

  get agent(): LabProcess {
    return this.#agent
  }

  get api(): Api {
    if (!this.#api) throw new Error('the daemons were not started')
    return this.#api
  }

  /** The embedded database and the spool before it. */
  get storeFolder(): string {
    return join(this.#options.folder, 'store')
  }

  async start(): Promise<void> {
    this.#writeConfigs()
    this.aggregator.start()
    this.#relay?.start()
    this.#api = new Api(this.#relay ? `unix:${this.#socket('grpc')}` : `127.0.0.1:${GRPC_PORT}`)
    await this.#ready()
    await this.startAgent()
  }

  /** After it was stopped or killed. Returns when it answers. */
  async startAggregator(): Promise<void> {
    if (!this.#aggregator.running) this.#aggregator = this.#daemon('aggregator')
    this.#aggregator.start()
    await this.#ready()
  }

  /** Also after it was killed. Returns when it counts on every interface. */
  async startAgent(): Promise<Agent> {
    if (!this.#agent.running) this.#agent = this.#daemon('agent')
    await waitFor('the agent before it to be gone', async () => {
      return (await this.api.listAgents()).agents.every(({ connected }) => !connected)
    })
    this.#agent.start()
    return await waitFor('the agent to count', async () => {
      this.#mustRun(this.#agent)
      const { agents } = await this.api.listAgents()
      return agents.find(
        (agent) =>
          agent.connected &&
          agent.interfaces.length > 0 &&
          agent.interfaces.every(({ attachMode }) => attachMode === 'native' || attachMode === 'generic'),
      )
    })
  }

  async stop(): Promise<void> {
    this.#api?.close()
    await this.#agent.stop()
    await this.aggregator.stop()
    await this.#relay?.stop()
  }

  async #ready(): Promise<GetStatusResponse> {
    return await waitFor('the aggregator to answer', async () => {
      this.#mustRun(this.aggregator)
      const status = await this.api.getStatus().catch(() => undefined)
      return status?.store?.state === 'ok' ? status : undefined
    })
  }

  #mustRun(daemon: LabProcess): void {
    if (!daemon.running) throw new Error(`${daemon.name} ended:\n${daemon.logTail()}`)
  }

  #daemon(kind: 'agent' | 'aggregator'): LabProcess {
    const { folder, namespace } = this.#options
    return new LabProcess({
      name: `flowdam-${kind}`,
      program: process.execPath,
      args: [join(ROOT, kind, 'dist', 'main.js'), '--config', this.#config(kind)],
      ...(namespace !== undefined && { namespace }),
      logFile: join(folder, `${kind}.log`),
    })
  }

  #config(kind: 'agent' | 'aggregator'): string {
    return join(this.#options.folder, `${kind}.yaml`)
  }

  #socket(kind: 'grpc' | 'http'): string {
    return join(this.#options.folder, `${kind}.sock`)
  }

  #writeConfigs(): void {
    const { folder, interfaces, networks, thresholdPps, hooks, agent, aggregator } = this.#options
    const spool = join(folder, 'agent')
    const state = join(folder, 'aggregator')
    const store = this.storeFolder
    for (const path of [spool, state, store]) mkdirSync(path, { recursive: true })
    // JSON is YAML.
    const write = (kind: 'agent' | 'aggregator', config: object) =>
      writeFileSync(this.#config(kind), `${JSON.stringify(config, null, 2)}\n`)
    write('agent', {
      id: 'edge1',
      aggregator: `127.0.0.1:${GRPC_PORT}`,
      interfaces,
      export_interval: this.#options.exportInterval ?? '1s',
      spool: { path: spool, max: '256M' },
      ...agent,
    })
    write('aggregator', {
      listen: { grpc: `127.0.0.1:${GRPC_PORT}`, http: `127.0.0.1:${HTTP_PORT}` },
      state,
      networks,
      hostgroups: [{ name: 'customers', prefixes: networks, incoming: { pps: thresholdPps }, window: '1s' }],
      ban: { duration: this.#options.banDuration ?? '5s', dry_run: this.#options.dryRun ?? false },
      ...(hooks && { hooks }),
      store: { engine: 'embedded', path: store },
      ...aggregator,
    })
  }
}
