// SPDX-License-Identifier: Apache-2.0
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export interface DelayProxyOptions {
  target: { host: string; port: number }
  /** Added to each direction, milliseconds; the round trip grows by twice this. */
  oneWayMs: number
}

/** Bytes under way in one direction; more pauses the sender, as a full pipe would. */
const MAX_IN_FLIGHT = 256 * 1024 * 1024

/** A connection and its other half. */
interface Path {
  frozen: boolean
}

/**
 * A TCP proxy on loopback that lets every byte arrive later, for paths longer than this machine offers (its kernel has
 * no netem). Order is kept, bandwidth is not limited.
 */
export class DelayProxy {
  readonly #sockets = new Set<Socket>()
  readonly #paths = new Set<Path>()
  #server: Server | undefined
  #cut = false
  #target: DelayProxyOptions['target']
  #oneWayMs: number

  constructor(options: DelayProxyOptions) {
    this.#target = options.target
    this.#oneWayMs = options.oneWayMs
  }

  get port(): number {
    return (this.#server?.address() as AddressInfo | null)?.port ?? 0
  }

  async start(): Promise<void> {
    const server = createServer((client) => this.#accept(client))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    this.#server = server
  }

  /** Ends all connections and refuses new ones until `restore`. */
  cut(): void {
    this.#cut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  restore(): void {
    this.#cut = false
  }

  /**
   * Every connection that there is goes silent for ever: neither bytes nor its end get through, as when a box on the
   * way has forgotten it. New ones work.
   */
  freeze(): void {
    for (const path of this.#paths) path.frozen = true
  }

  /** From now on; order is kept. */
  slow(oneWayMs: number): void {
    this.#oneWayMs = oneWayMs
  }

  /** Where new connections go. */
  retarget(port: number): void {
    this.#target = { ...this.#target, port }
  }

  async stop(): Promise<void> {
    this.cut()
    const server = this.#server
    this.#server = undefined
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()))
  }

  #accept(client: Socket): void {
    if (this.#cut) {
      client.destroy()
      return
    }
    const upstream = connect(this.#target)
    const path = { frozen: false }
    this.#paths.add(path)
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true)
      this.#sockets.add(socket)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        if (client.destroyed && upstream.destroyed) this.#paths.delete(path)
      })
      socket.on('error', () => socket.destroy())
    }
    this.#pipe(client, upstream, path)
    this.#pipe(upstream, client, path)
  }

  #pipe(from: Socket, to: Socket, path: Path): void {
    const queue: { due: number; chunk: Buffer | null }[] = []
    let queued = 0
    let timer: NodeJS.Timeout | undefined
    const release = () => {
      timer = undefined
      const now = performance.now()
      while (queue[0] && queue[0].due <= now) {
        const chunk = queue.shift()?.chunk
        if (path.frozen) continue
        if (!chunk) {
          to.end()
          return
        }
        queued -= chunk.length
        if (!to.destroyed) to.write(chunk)
      }
      if (from.isPaused() && queued < MAX_IN_FLIGHT / 2) from.resume()
      if (queue[0]) timer = setTimeout(release, Math.max(0, queue[0].due - now))
    }
    const add = (chunk: Buffer | null) => {
      queue.push({ due: performance.now() + this.#oneWayMs, chunk })
      timer ??= setTimeout(release, this.#oneWayMs)
    }
    from.on('data', (chunk) => {
      if (path.frozen) return
      queued += chunk.length
      if (queued > MAX_IN_FLIGHT) from.pause()
      add(chunk)
    })
    from.on('end', () => add(null))
    from.on('close', () => {
      if (!from.readableEnded && !path.frozen) to.destroy()
    })
    to.on('close', () => clearTimeout(timer))
  }
}
