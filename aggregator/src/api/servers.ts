// SPDX-License-Identifier: Apache-2.0
import type { HostPort, Logger } from '@flowdam/common'
import { FASTNETMON_PACKAGES, fastNetMonService } from '@flowdam/proto'
import type { UntypedServiceImplementation } from '@grpc/grpc-js'
import type { ApiAccess } from '../access/access.js'
import type { AggregatorConfig } from '../config/schema.js'
import type { DropCounter } from '../drops.js'
import { GrpcEndpoint } from '../grpc/endpoint.js'
import { ServerTls } from '../grpc/tls.js'
import type { IngestServer } from '../ingest/server.js'
import type { Offer } from './services.js'
import { HealthService, reflectionServices } from './standard-services.js'

/** How often the health service looks at the store. */
const HEALTH_EVERY_MS = 1000
/** What the health service knows beside the aggregator as a whole. */
const API_SERVICES = ['Status', 'Host', 'Baseline', 'Ban', 'Attack', 'Flow', 'Config', 'Audit'].map(
  (name) => `flowdam.v1.${name}Service`,
)
/** Endpoints of the API take more than `api.limits.message`, so that the gate sees what is over it. */
const MESSAGE_ROOM = 4

export interface GrpcServersOptions {
  config: AggregatorConfig
  access: ApiAccess
  ingest: IngestServer
  drops: DropCounter
  storeReady: () => boolean
  log: (component: string) => Logger
}

/** The gRPC ports: agents' and the API's, one port or two, and the one for FastNetMon's clients where configured. */
export class GrpcServers {
  readonly #options: GrpcServersOptions
  readonly #main: GrpcEndpoint
  /** The same as #main unless the API has a port of its own. */
  readonly #api: GrpcEndpoint
  readonly #fastNetMon: GrpcEndpoint | undefined
  readonly #tls: ServerTls | undefined
  readonly #apiTls: ServerTls | undefined
  readonly #health = new HealthService(['', ...API_SERVICES])
  #healthTimer: NodeJS.Timeout | undefined

  constructor(options: GrpcServersOptions) {
    this.#options = options
    const { config, access, ingest, drops, log } = options
    const { listen, tls, limits } = config.api
    const interceptors = [access.gate.interceptor]
    const maxMessageBytes = limits.message * MESSAGE_ROOM
    this.#tls = config.tls && new ServerTls({ files: config.tls, drops, log: log('tls') })
    this.#apiTls = tls && new ServerTls({ files: tls, drops, log: log('tls') })
    const shared = { interceptors, drops, log: log('grpc') }
    this.#main = new GrpcEndpoint({ ...shared, listen: config.listen.grpc, tls: this.#tls })
    this.#api = listen
      ? new GrpcEndpoint({ ...shared, listen, tls: this.#apiTls, maxMessageBytes })
      : this.#main
    this.#main.add(ingest.definition, ingest.service)
    if (config.fastnetmon_api) {
      this.#fastNetMon = new GrpcEndpoint({
        listen: config.fastnetmon_api,
        interceptors: [access.fastNetMonGate.interceptor],
        maxMessageBytes,
        drops,
        log: log('fastnetmon'),
      })
    }
  }

  /** Bound address of the agents' port; the real one when 0 was configured. */
  get address(): HostPort {
    return this.#main.address
  }

  get apiAddress(): HostPort {
    return this.#api.address
  }

  /** Services of the API, behind the gate. Before start. */
  offer(services: Iterable<Offer>): void {
    const { gate } = this.#options.access
    for (const [service, implementation] of services) this.#api.add(gate.guarded(service), implementation)
  }

  /** What answers FastNetMon's clients, if anything is to. Before start. */
  offerFastNetMon(service: () => UntypedServiceImplementation): void {
    const endpoint = this.#fastNetMon
    if (!endpoint) return
    const { fastNetMonGate: gate } = this.#options.access
    const implementation = service()
    for (const name of FASTNETMON_PACKAGES)
      endpoint.add(gate.guarded(fastNetMonService(name)), implementation)
  }

  async start(): Promise<void> {
    this.offer([...this.#health.services, ...reflectionServices()])
    this.#watchStore()
    try {
      await this.#main.start()
      if (this.#api !== this.#main) await this.#api.start()
      await this.#fastNetMon?.start()
    } catch (error) {
      // One port is taken: those that are open already must not stay.
      await this.stop()
      throw error
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#healthTimer)
    await this.#fastNetMon?.stop()
    if (this.#api !== this.#main) await this.#api.stop()
    await this.#main.stop()
  }

  reloadCertificates(): void {
    this.#tls?.reload()
    this.#apiTls?.reload()
  }

  #watchStore(): void {
    let before = ''
    const look = () => {
      const status = this.#options.storeReady() ? 'SERVING' : 'NOT_SERVING'
      if (status !== before) this.#health.set('flowdam.v1.FlowService', status)
      before = status
    }
    look()
    this.#healthTimer = setInterval(look, HEALTH_EVERY_MS)
    this.#healthTimer.unref()
  }
}
