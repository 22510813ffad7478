// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, formatHostPort, type HostPort, type Logger, parseHostPort } from '@flowdam/common'
import { MAX_BATCH_RECORDS, RECORD_SIZE } from '@flowdam/proto'
import {
  Server,
  ServerCredentials,
  type ServerInterceptor,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import type { DropCounter } from '../drops.js'
import { StreamGuard, type StreamGuardOptions } from './stream-guard.js'
import type { ServerTls } from './tls.js'
import { limitHandshakes, secureServers, widenConnections, widenStreams } from './windows.js'

/** A full batch and its frame; nothing in the contract is larger. Host deltas of 100 000 addresses are 4 MB. */
export const MAX_MESSAGE_BYTES = 8 << 20
if (MAX_MESSAGE_BYTES < MAX_BATCH_RECORDS * RECORD_SIZE * 2)
  throw new Error('a full batch must fit a message')

/** On one connection; a client's further calls wait for one of these to end. */
const MAX_CONCURRENT_STREAMS = 256

const HANDSHAKE_MS = 10_000

export interface GrpcEndpointOptions {
  listen: HostPort
  drops: DropCounter
  /** Default: plaintext. */
  tls?: ServerTls | undefined
  /** Before every call. */
  interceptors?: ServerInterceptor[]
  /** Of a request; default MAX_MESSAGE_BYTES. */
  maxMessageBytes?: number
  log: Logger
  /** For tests. */
  guard?: Pick<StreamGuardOptions, 'unfinishedBytes' | 'lingerMs'>
  /** For tests. */
  handshakeMs?: number
}

/** The gRPC port: agents' streams and the API, with windows for agents far away. */
export class GrpcEndpoint {
  readonly #options: GrpcEndpointOptions
  readonly #services: [ServiceDefinition, UntypedServiceImplementation][] = []
  readonly #guard: StreamGuard
  #server: Server | undefined
  #port = 0

  constructor(options: GrpcEndpointOptions) {
    this.#options = options
    const { drops, maxMessageBytes = MAX_MESSAGE_BYTES, guard } = options
    this.#guard = new StreamGuard({ drops, maxMessageBytes, ...guard })
  }

  /** Before start(). */
  add(service: ServiceDefinition, implementation: UntypedServiceImplementation): void {
    this.#services.push([service, implementation])
  }

  /** The bound address; the port is the real one when 0 was configured. */
  get address(): HostPort {
    return { host: this.#options.listen.host, port: this.#port || this.#options.listen.port }
  }

  /** Of messages that have begun to arrive. */
  get unfinishedBytes(): number {
    return this.#guard.unfinishedBytes
  }

  /** Throws FD_LISTEN_FAILED, FD_GRPC_WINDOWS. */
  async start(): Promise<void> {
    const { listen, tls, interceptors = [], maxMessageBytes = MAX_MESSAGE_BYTES, log } = this.#options
    const server = new Server({
      interceptors,
      'grpc.max_receive_message_length': maxMessageBytes,
      'grpc.max_concurrent_streams': MAX_CONCURRENT_STREAMS,
      'grpc.max_send_message_length': 64 << 20,
      // A dead path is found within the two, as by agents.
      'grpc.keepalive_time_ms': 4000,
      'grpc.keepalive_timeout_ms': 3000,
      'grpc-node.max_session_memory': 64,
    })
    for (const [service, implementation] of this.#services) server.addService(service, implementation)
    widenStreams(server)
    limitHandshakes(server, this.#options.handshakeMs ?? HANDSHAKE_MS)
    this.#port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(
        formatHostPort(listen),
        tls?.credentials() ?? ServerCredentials.createInsecure(),
        (cause, port) => {
          if (!cause) return resolve(port)
          reject(
            new FlowdamError('FD_LISTEN_FAILED', `cannot listen for gRPC on ${formatHostPort(listen)}`, {
              cause,
              remedy: 'is another process on that port? Change it in aggregator.yaml.',
            }),
          )
        },
      )
    })
    widenConnections(server, (window) =>
      log.error({ window }, 'FD_GRPC_WINDOWS: a connection kept a small window'),
    )
    this.#guard.watch(server)
    tls?.watch(secureServers(server))
    this.#server = server
    log.info({ listen: formatHostPort(this.address) }, 'gRPC listens')
  }

  /** Ends all calls at once: the agents' streams have no end of their own, and what is not acknowledged comes again. */
  async stop(): Promise<void> {
    this.#options.tls?.stop()
    this.#server?.forceShutdown()
    this.#server = undefined
  }
}

/** For tests and tools: `new GrpcEndpoint({ listen: anyPort(), … })`. */
export function anyPort(): HostPort {
  return parseHostPort('127.0.0.1:0')
}
