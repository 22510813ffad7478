// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs'
import {
  AttackServiceClient,
  AuditServiceClient,
  BanServiceClient,
  BaselineServiceClient,
  ConfigServiceClient,
  FlowServiceClient,
  HostServiceClient,
  StatusServiceClient,
} from '@flowdam/proto'
import {
  type CallOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import { usageError } from './command-error.js'
import { callError, connectionLost, connectTimeout } from './grpc-error.js'

export interface Tls {
  ca: string
  cert?: string
  key?: string
}

export interface ClientOptions {
  /** HOST:PORT. */
  server: string
  /** Sent with each call. */
  token?: string
  /** For each call, milliseconds; for a watch, how long connecting may take. */
  timeoutMs: number
  tls?: Tls
}

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall

/** The aggregator's public API, over one connection. Nothing is sent before the first call. */
export class Client {
  readonly server: string
  readonly status: StatusServiceClient
  readonly hosts: HostServiceClient
  readonly bans: BanServiceClient
  readonly baselines: BaselineServiceClient
  readonly attacks: AttackServiceClient
  readonly flows: FlowServiceClient
  readonly config: ConfigServiceClient
  readonly audit: AuditServiceClient
  readonly #timeoutMs: number
  readonly #token: string | undefined

  constructor({ server, timeoutMs, token, tls }: ClientOptions) {
    this.server = server
    this.#timeoutMs = timeoutMs
    this.#token = token
    this.status = new StatusServiceClient(server, channelCredentials(tls), {
      // An operator's command talks to the address it was told, whatever http_proxy says.
      'grpc.enable_http_proxy': 0,
      // 10 000 flows of about 150 bytes fit grpc-js's default of 4 MiB; a listing must never break at its edge.
      'grpc.max_receive_message_length': 64 * 1024 * 1024,
    })
    const shared = { channelOverride: this.status.getChannel() }
    this.hosts = new HostServiceClient(server, channelCredentials(tls), shared)
    this.bans = new BanServiceClient(server, channelCredentials(tls), shared)
    this.baselines = new BaselineServiceClient(server, channelCredentials(tls), shared)
    this.attacks = new AttackServiceClient(server, channelCredentials(tls), shared)
    this.flows = new FlowServiceClient(server, channelCredentials(tls), shared)
    this.config = new ConfigServiceClient(server, channelCredentials(tls), shared)
    this.audit = new AuditServiceClient(server, channelCredentials(tls), shared)
  }

  /** One call with a deadline; errors come out as CommandError. `method` is already bound to its service. */
  call<Request, Response>(method: UnaryMethod<Request, Response>, request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + this.#timeoutMs
      method(request, this.#metadata(), { deadline }, (error, response) => {
        if (error) reject(callError(error, this.#errorContext()))
        else resolve(response)
      })
    })
  }

  /**
   * The messages of a stream, until `signal` ends it or the server does. A stream has no deadline, but connecting has.
   */
  async *watch<Response>(
    open: (metadata: Metadata) => ClientReadableStream<Response>,
    signal: AbortSignal,
  ): AsyncGenerator<Response> {
    const stream = open(this.#metadata())
    let timedOut = false
    const connecting = setTimeout(() => {
      if (this.#isConnected()) return
      timedOut = true
      stream.cancel()
    }, this.#timeoutMs)
    const cancel = () => stream.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    try {
      for await (const message of stream) {
        if (signal.aborted) return
        yield message
      }
    } catch (error) {
      if (signal.aborted) return
      if (timedOut) throw connectTimeout(this.#errorContext())
      throw callError(error as ServiceError, this.#errorContext())
    } finally {
      clearTimeout(connecting)
      signal.removeEventListener('abort', cancel)
      stream.cancel()
    }
    if (!signal.aborted) throw connectionLost(this.#errorContext())
  }

  close(): void {
    this.status.close()
  }

  #metadata(): Metadata {
    const metadata = new Metadata()
    if (this.#token !== undefined) metadata.set('authorization', `Bearer ${this.#token}`)
    return metadata
  }

  #isConnected(): boolean {
    return this.status.getChannel().getConnectivityState(false) === connectivityState.READY
  }

  #errorContext() {
    return { server: this.server, timeoutMs: this.#timeoutMs, connected: this.#isConnected() }
  }
}

function channelCredentials(tls: Tls | undefined) {
  if (!tls) return credentials.createInsecure()
  const ca = readPem(tls.ca, '--ca')
  const key = tls.key === undefined ? null : readPem(tls.key, '--key')
  const cert = tls.cert === undefined ? null : readPem(tls.cert, '--cert')
  try {
    return credentials.createSsl(ca, key, cert)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw usageError(`--ca, --cert and --key do not fit together or are no PEM files (${reason})`)
  }
}

function readPem(file: string, option: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw usageError(
      `${option}: cannot read ${file} (${cause instanceof Error ? cause.message : String(cause)})`,
    )
  }
}
