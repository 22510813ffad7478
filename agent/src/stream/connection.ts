// SPDX-License-Identifier: Apache-2.0
import { describeError } from '@flowdam/common'
import {
  IngestServiceClient,
  type RefusedMessage,
  readRefused,
  type StreamRequest,
  type StreamResponse,
  type Welcome,
} from '@flowdam/proto'
import {
  type ChannelCredentials,
  type ClientDuplexStream,
  type Metadata,
  type StatusObject,
  status,
} from '@grpc/grpc-js'

/** A dead path is found within keepalive time and timeout: 7 s. */
const CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': 4000,
  'grpc.keepalive_timeout_ms': 3000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_send_message_length': 16 << 20,
  'grpc.max_receive_message_length': 16 << 20,
  // Attempts are timed here, not by a pool that all channels of the process share.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_retries': 0,
  'grpc-node.flow_control_window': 4 << 20,
}
/** From the first packet of a connection to Welcome. */
const WELCOME_TIMEOUT_MS = 10_000

export interface ConnectionTarget {
  /** HOST:PORT. */
  address: string
  /** For messages about failures. */
  overTls: boolean
  /** Called for each connection, so that new certificates are used. FD_TLS_…. */
  credentials: () => ChannelCredentials
}

export interface ConnectionEvents {
  /** The first message down. */
  welcome(message: Welcome): void
  message(message: NonNullable<StreamResponse['message']>): void
  /** Called once, whatever ended it. */
  ended(why: StreamEnd): void
}

export interface StreamEnd {
  /** gRPC's name of the status. */
  code: string
  details: string
  /** The message for which the aggregator ended it. */
  refused?: RefusedMessage | undefined
}

/** One attempt: one HTTP/2 connection with one stream, from Hello to its end. */
export class Connection {
  readonly #target: ConnectionTarget
  readonly #events: ConnectionEvents
  #client: IngestServiceClient | undefined
  #call: ClientDuplexStream<StreamRequest, StreamResponse> | undefined
  #timer: NodeJS.Timeout | undefined
  #ended = false

  constructor(target: ConnectionTarget, events: ConnectionEvents) {
    this.#target = target
    this.#events = events
  }

  start(hello: NonNullable<StreamRequest['message']>): void {
    try {
      this.#client = new IngestServiceClient(
        this.#target.address,
        this.#target.credentials(),
        CHANNEL_OPTIONS,
      )
    } catch (error) {
      // Not now: whoever starts us is not ready for our end.
      setImmediate(() => this.#end({ code: 'FAILED_PRECONDITION', details: describeError(error) }))
      return
    }
    const call = this.#client.stream()
    this.#call = call
    this.#timer = setTimeout(
      () => this.#end({ code: 'DEADLINE_EXCEEDED', details: `no Welcome within ${WELCOME_TIMEOUT_MS} ms` }),
      WELCOME_TIMEOUT_MS,
    )
    call.on('data', (response: StreamResponse) => this.#receive(response))
    call.on('error', (error: Error & Partial<StatusObject>) =>
      this.#end({
        code: statusName(error.code),
        details: error.details ?? error.message,
        refused: refusedOf(error.metadata),
      }),
    )
    call.on('end', () => this.#end({ code: 'OK', details: 'the aggregator ended the stream' }))
    this.send(hello)
  }

  /** Sends a message. `flushed` is called when it has left this process, as far as flow control lets it. */
  send(message: NonNullable<StreamRequest['message']>, flushed?: () => void): void {
    if (this.#ended || !this.#call) return
    this.#call.write({ message }, () => {
      if (!this.#ended) flushed?.()
    })
  }

  /** Ends the stream when all that was sent has arrived, or after `waitMs`; `ended` is not called. */
  async stop(waitMs: number): Promise<void> {
    const call = this.#ended ? undefined : this.#call
    this.#ended = true
    if (call) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs)
        // The aggregator answers the end of our half with its own; what was written before has then been read.
        const done = () => {
          clearTimeout(timer)
          resolve()
        }
        call.once('end', done)
        call.once('error', done)
        call.end()
      })
    }
    this.#close()
  }

  #receive(response: StreamResponse): void {
    const { message } = response
    if (this.#ended || !message) return
    if (message.$case === 'welcome') {
      clearTimeout(this.#timer)
      this.#events.welcome(message.value)
    } else {
      this.#events.message(message)
    }
  }

  #end(why: StreamEnd): void {
    if (this.#ended) return
    this.#ended = true
    this.#close()
    this.#events.ended(why)
  }

  #close(): void {
    clearTimeout(this.#timer)
    const call = this.#call
    this.#call = undefined
    if (call) {
      // A cancelled call still emits its error.
      call.removeAllListeners()
      call.on('error', () => {})
      call.cancel()
    }
    this.#client?.close()
    this.#client = undefined
  }
}

function refusedOf(metadata: Metadata | undefined): RefusedMessage | undefined {
  const [details] = metadata?.get('grpc-status-details-bin') ?? []
  return Buffer.isBuffer(details) ? readRefused(details) : undefined
}

function statusName(code: number | undefined): string {
  return (code === undefined ? undefined : status[code]) ?? 'UNKNOWN'
}
