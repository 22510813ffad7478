// SPDX-License-Identifier: Apache-2.0
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import { FlowdamError } from './errors.js'
import { formatHostPort, type HostPort } from './listen.js'

export type HealthState = 'ok' | 'degraded' | 'failed'

/** ok and degraded answer 200, failed answers 503: a load balancer must not cut off what still works. */
export interface Health {
  state: HealthState
  /** Each also answers for itself, at `/healthz/NAME`. */
  parts?: Readonly<Record<string, HealthState>>
  [detail: string]: unknown
}

export interface HttpEndpointOptions {
  listen: HostPort
  registry: Registry
  health: () => Health
}

/** `/metrics` in Prometheus' text format, `/healthz` and `/healthz/PART` as JSON. */
export class HttpEndpoint {
  readonly #options: HttpEndpointOptions
  #server: Server | undefined

  constructor(options: HttpEndpointOptions) {
    this.#options = options
  }

  /** The bound address; the port is the real one when 0 was configured. */
  get address(): HostPort {
    const bound = this.#server?.address() as AddressInfo | null | undefined
    return bound ? { host: bound.address, port: bound.port } : this.#options.listen
  }

  async start(): Promise<void> {
    const { listen, registry, health } = this.#options
    const server = createServer(async (request, response) => {
      const path = (request.url ?? '/').split('?')[0]
      if (request.method !== 'GET') {
        response.writeHead(405, { allow: 'GET' }).end()
      } else if (path === '/metrics') {
        try {
          const body = await registry.metrics()
          response.writeHead(200, { 'content-type': registry.contentType }).end(body)
        } catch (error) {
          response.writeHead(500).end(String(error))
        }
      } else if (path === '/healthz') {
        answerHealth(response, health())
      } else if (path?.startsWith('/healthz/')) {
        const state = health().parts?.[path.slice('/healthz/'.length)]
        if (state) answerHealth(response, { state })
        else response.writeHead(404).end()
      } else {
        response.writeHead(404, { 'content-type': 'text/plain' }).end('try /metrics or /healthz\n')
      }
    })
    server.requestTimeout = 10_000
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) =>
        reject(
          new FlowdamError('FD_LISTEN_FAILED', `cannot listen for HTTP on ${formatHostPort(listen)}`, {
            cause,
            remedy: 'is another process on that port? Change listen.http.',
          }),
        ),
      )
      server.listen(listen.port, listen.host, () => resolve())
    })
    this.#server = server
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server) return
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
}

function answerHealth(response: ServerResponse, report: Health): void {
  response
    .writeHead(report.state === 'failed' ? 503 : 200, { 'content-type': 'application/json' })
    .end(`${JSON.stringify(report)}\n`)
}
