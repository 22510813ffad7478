// SPDX-License-Identifier: Apache-2.0
import {
  constants,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { IngestServiceService } from '@flowdam/proto'
import type { Server } from '@grpc/grpc-js'
import type { DropCounter } from '../drops.js'
import { MessageMeter } from './message-meter.js'
import { http2Servers } from './windows.js'

/** Of an agent's stream: Hello with 128 interfaces is 20 KB. */
const FIRST_MESSAGE_BYTES = 64 << 10
/** Messages that have begun to arrive, all streams together. */
const UNFINISHED_BYTES = 256 << 20
/** After our status, for the client to end its half as well. */
const LINGER_MS = 2000

export interface StreamGuardOptions {
  drops: DropCounter
  maxMessageBytes: number
  /** For tests. */
  unfinishedBytes?: number
  lingerMs?: number
}

/**
 * Bounds what clients can make gRPC hold before our code sees a message: its decoder collects a message of any
 * announced size for each stream, streams are cheap, and a stream that was refused stays as long as its client likes.
 * So an agent's first message must be small, unfinished messages share a budget that the slowest pays for, nothing is
 * decompressed (grpc-js would unpack all messages of a chunk at once, each a thousandfold), and a refused stream is
 * reset after a while.
 */
export class StreamGuard {
  readonly #options: StreamGuardOptions
  readonly #meters = new Map<ServerHttp2Stream, MessageMeter>()
  #unfinished = 0

  constructor(options: StreamGuardOptions) {
    this.#options = options
  }

  /** Bytes of messages that have begun to arrive. */
  get unfinishedBytes(): number {
    return this.#unfinished
  }
  get streams(): number {
    return this.#meters.size
  }

  /** After the server has bound. */
  watch(server: Server): void {
    for (const http2Server of http2Servers(server)) this.#watch(http2Server)
  }

  #watch(http2Server: Http2Server): void {
    // Before grpc-js: it must not see what we refuse.
    http2Server.prependListener('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      const isAgent = headers[constants.HTTP2_HEADER_PATH] === IngestServiceService.stream.path
      this.#meter(stream, isAgent ? FIRST_MESSAGE_BYTES : this.#options.maxMessageBytes)
    })
    // Ours as well: Node destroys the session, and nobody else listens.
    http2Server.on('session', (session: ServerHttp2Session) => session.on('error', () => undefined))
  }

  #meter(stream: ServerHttp2Stream, firstMessageBytes: number): void {
    const meter = new MessageMeter()
    this.#meters.set(stream, meter)
    stream.on('data', (chunk: Buffer) => {
      if (stream.closed || stream.writableEnded) return
      this.#unfinished -= meter.unfinished
      meter.feed(chunk)
      this.#unfinished += meter.unfinished
      this.#judge(stream, meter, firstMessageBytes)
    })
    stream.once('finish', () => {
      this.#forget(stream)
      if (stream.closed || stream.readableEnded) return
      const timer = setTimeout(() => {
        if (!stream.closed) stream.close(constants.NGHTTP2_NO_ERROR)
      }, this.#options.lingerMs ?? LINGER_MS)
      stream.once('close', () => clearTimeout(timer))
    })
    // grpc-js 1.14 may write after its own status; Node then never sends that, and the stream would stay for ever.
    stream.once('error', () => {
      if (!stream.closed) stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    })
    stream.once('close', () => this.#forget(stream))
  }

  #judge(stream: ServerHttp2Stream, meter: MessageMeter, firstMessageBytes: number): void {
    const { drops, maxMessageBytes, unfinishedBytes = UNFINISHED_BYTES } = this.#options
    if (meter.compressed) {
      drops.add('ingest', 'compressed', 1)
      this.#end(stream)
    } else if (meter.largest > maxMessageBytes || meter.first > firstMessageBytes) {
      drops.add('ingest', 'too_large', 1)
      this.#end(stream)
    }
    while (this.#unfinished > unfinishedBytes) {
      const slowest = this.#slowest()
      if (!slowest) return
      drops.add('ingest', 'unfinished', 1)
      this.#end(slowest)
    }
  }

  /** Whose message began first. */
  #slowest(): ServerHttp2Stream | undefined {
    let slowest: ServerHttp2Stream | undefined
    let since = Number.POSITIVE_INFINITY
    for (const [stream, meter] of this.#meters) {
      if (meter.unfinished === 0 || meter.since >= since) continue
      slowest = stream
      since = meter.since
    }
    return slowest
  }

  /** gRPC clients take it for RESOURCE_EXHAUSTED. */
  #end(stream: ServerHttp2Stream): void {
    this.#forget(stream)
    stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #forget(stream: ServerHttp2Stream): void {
    const meter = this.#meters.get(stream)
    if (!meter) return
    this.#unfinished -= meter.unfinished
    this.#meters.delete(stream)
    meter.stop()
  }
}
