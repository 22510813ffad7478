// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../free-port.js'

/** As long as it is set, whatever is asked. */
export type Weather = 'fine' | 'refused' | 'silent' | 'slow'

/** What the next insert meets. */
export type Mishap =
  /** Half of the body arrives, then both connections break. */
  | 'reset in the body'
  /** Half of the body is read, then comes an answer of 500 that is not ClickHouse's. */
  | 'error in the body'
  /** Refused without a look at the body. */
  | 'too many parts'
  /** The server has it and says so, and the connection breaks before the client hears it. */
  | 'reset after the commit'
  /** The same, and the client hears nothing until it gives up. */
  | 'silent after the commit'
  /** The insert reaches the server after the client has given up and come again. */
  | 'late'

export const MISHAPS: readonly Mishap[] = [
  'reset in the body',
  'error in the body',
  'too many parts',
  'reset after the commit',
  'silent after the commit',
  'late',
]

/** For each 64 KB of a body, and before each answer. */
const SLOW_MS = 20

export interface ProxyOptions {
  /** Of the server behind it. */
  serverPort: number
  /** How long the client waits for an answer; `late` is later. */
  clientTimeoutMs: number
}

/** HTTP between a client and a ClickHouse server, on loopback, with a port that stays the same. */
export class FaultProxy {
  readonly #options: ProxyOptions
  #server: Server | undefined
  #port = 0
  #weather: Weather = 'fine'
  #mishap: { what: Mishap; met: () => void } | undefined
  /** What `late` holds back. */
  readonly #late = new Set<Promise<unknown>>()
  /** Inserts that came, whatever became of them. */
  inserts = 0

  constructor(options: ProxyOptions) {
    this.#options = options
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async start(): Promise<void> {
    this.#port ||= await freePort()
    const server = createServer((incoming, response) => {
      this.#pass(incoming, response).catch(() => incoming.socket.destroy())
    })
    server.listen(this.#port, '127.0.0.1')
    await once(server, 'listening')
    this.#server = server
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server) return
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }

  async setWeather(weather: Weather): Promise<void> {
    this.#weather = weather
    if (weather === 'refused') await this.stop()
    else if (!this.#server) await this.start()
  }

  /** Resolves when an insert has met it. */
  next(what: Mishap): Promise<void> {
    return new Promise((met) => {
      this.#mishap = { what, met }
    })
  }

  /** Everything that `late` held back has arrived. */
  async settled(): Promise<void> {
    await Promise.all(this.#late)
  }

  async #pass(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#weather === 'silent') return
    const isInsert = /INSERT.*(RowBinary|TabSeparated)/.test(incoming.url ?? '')
    if (isInsert) this.inserts++
    const mishap = isInsert ? this.#mishap : undefined
    if (!mishap) return this.#forward(incoming, response)
    this.#mishap = undefined
    await this.#spoil(mishap.what, incoming, response)
    mishap.met()
  }

  async #spoil(what: Mishap, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    if (what === 'too many parts') {
      response
        .writeHead(500, { 'x-clickhouse-exception-code': '252' })
        .end(
          'Code: 252. DB::Exception: Too many parts (300). Merges are slower than inserts. (TOO_MANY_PARTS)',
        )
      return
    }
    const body = await readAll(incoming)
    const half = body.subarray(0, body.length >> 1)
    switch (what) {
      case 'reset in the body': {
        const upstream = this.#ask(incoming)
        upstream.on('error', () => undefined)
        await new Promise((written) => upstream.write(half, written))
        upstream.destroy()
        incoming.socket.destroy()
        return
      }
      case 'error in the body':
        response.writeHead(500).end('upstream connect error or disconnect/reset before headers')
        return
      case 'reset after the commit':
        await this.#send(incoming, body)
        incoming.socket.destroy()
        return
      case 'silent after the commit':
        await this.#send(incoming, body)
        return
      case 'late': {
        const later = sleep(this.#options.clientTimeoutMs * (1 + 3 * Math.random()))
          .then(() => this.#send(incoming, body))
          .catch(() => undefined)
        this.#late.add(later)
        void later.then(() => this.#late.delete(later))
      }
    }
  }

  async #forward(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const upstream = this.#ask(incoming)
    const answered = once(upstream, 'response') as Promise<[IncomingMessage]>
    answered.catch(() => undefined)
    for await (const chunk of incoming) {
      if (this.#weather === 'slow') await sleep((SLOW_MS * (chunk as Buffer).length) / 65_536)
      upstream.write(chunk)
    }
    upstream.end()
    const [answer] = await answered
    if (this.#weather === 'slow') await sleep(SLOW_MS)
    response.writeHead(answer.statusCode ?? 500, answer.headers)
    for await (const chunk of answer) response.write(chunk)
    response.end()
  }

  /** As the client asked it; resolves with the answer's status. */
  async #send(incoming: IncomingMessage, body: Buffer): Promise<number> {
    const upstream = this.#ask(incoming)
    const answered = once(upstream, 'response') as Promise<[IncomingMessage]>
    upstream.end(body)
    const [answer] = await answered
    answer.resume()
    return answer.statusCode ?? 0
  }

  #ask({ method, url, headers }: IncomingMessage) {
    const { connection: _, 'transfer-encoding': __, ...rest } = headers
    return request({
      host: '127.0.0.1',
      port: this.#options.serverPort,
      method,
      path: url,
      headers: { ...rest, 'transfer-encoding': 'chunked' },
      agent: false,
    })
  }
}

async function readAll(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
