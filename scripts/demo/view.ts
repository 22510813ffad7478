// SPDX-License-Identifier: Apache-2.0
import type { WatchBansResponse } from '@flowdam/proto'
import type { Api } from '../lab/api.js'
import { BLACKHOLE_COMMUNITY, type Route, type RouteChange } from '../lab/gobgp.js'
import { Painter } from './painter.js'
import { drawLine, drawScreen, type Story } from './screen.js'
import { takeSnapshot } from './snapshot.js'

export interface ViewOptions {
  title: string
  thresholdPps: number
  router?: string
  hints?: readonly string[]
}

const REDRAW_MS = 500
/** Where nothing can be redrawn. */
const LINE_MS = 5_000
const HISTORY = 60
const EVENTS_KEPT = 100

/** The live picture: asks the API, listens to bans and routes, draws. */
export class View {
  readonly #api: Api
  readonly #options: ViewOptions
  readonly #painter = process.stdout.isTTY ? new Painter(process.stdout) : undefined
  readonly #routes = new Map<string, Route>()
  readonly #history: number[] = []
  readonly #events: string[] = []
  readonly #stop = new AbortController()
  #started = 0
  #timer: NodeJS.Timeout | undefined
  #drawing = Promise.resolve()
  #lastSecond = -1

  constructor(api: Api, options: ViewOptions) {
    this.#api = api
    this.#options = options
  }

  start(): void {
    this.#started = Date.now()
    this.#painter?.start()
    this.#watchBans()
    const draw = () => {
      this.#drawing = this.#draw().catch((error: unknown) => this.say(`no answer: ${String(error)}`))
      this.#drawing.then(() => {
        if (!this.#stop.signal.aborted) this.#timer = setTimeout(draw, this.#painter ? REDRAW_MS : LINE_MS)
      })
    }
    draw()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#timer)
    await this.#drawing
    this.#painter?.stop()
  }

  /** Adds a line to what happened. */
  say(text: string): void {
    const line = `${new Date().toTimeString().slice(0, 8)}  ${text}`
    this.#events.push(line)
    if (this.#events.length > EVENTS_KEPT) this.#events.shift()
    if (!this.#painter) process.stdout.write(`${line}\n`)
  }

  /** For the router's `Speaker.watch`. */
  routeChanged({ present, route }: RouteChange): void {
    const { router = 'the router' } = this.#options
    if (present) this.#routes.set(route.prefix, route)
    else this.#routes.delete(route.prefix)
    const community = route.communities.includes(BLACKHOLE_COMMUNITY) ? ', community 65535:666' : ''
    this.say(
      present
        ? `${router} has the route ${route.prefix} next hop ${route.nextHop}${community}`
        : `${router} has no route ${route.prefix} any more`,
    )
  }

  #watchBans(): void {
    const stream = this.#api.bans.watchBans({})
    stream.on('data', (change: WatchBansResponse) => {
      const { ban, event } = change
      if (!ban) return
      if (event === 'ban') {
        this.say(`ban ${ban.prefix}: ${Math.round(ban.value)} ${ban.metric} over ${ban.threshold}`)
      } else if (event === 'hook') {
        const hook = ban.hooks.at(-1)
        if (hook)
          this.say(`hook ${hook.hook} ${hook.action} ${ban.prefix}: ${hook.result} (${hook.durationMs} ms)`)
      } else if (event === 'unban') this.say(`unban ${ban.prefix}`)
    })
    stream.on('error', (error) => {
      if (!this.#stop.signal.aborted) this.say(`ban events ended: ${error.message}`)
    })
    this.#stop.signal.addEventListener('abort', () => stream.cancel())
  }

  async #draw(): Promise<void> {
    const snapshot = await takeSnapshot(this.#api)
    const elapsedMs = Date.now() - this.#started
    const second = Math.floor(elapsedMs / 1000)
    if (second !== this.#lastSecond) {
      this.#lastSecond = second
      this.#history.push(snapshot.status.incoming?.pps ?? 0)
      if (this.#history.length > HISTORY) this.#history.shift()
    }
    const story: Story = {
      title: this.#options.title,
      elapsedMs,
      thresholdPps: this.#options.thresholdPps,
      history: this.#history,
      events: this.#events,
      routes: this.#routes,
      router: this.#options.router,
      hints: this.#options.hints ?? [],
    }
    if (this.#painter) this.#painter.draw(drawScreen(snapshot, story, this.#painter.room))
    else process.stdout.write(`${drawLine(snapshot, story)}\n`)
  }
}
