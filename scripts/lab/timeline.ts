// SPDX-License-Identifier: Apache-2.0
import type { Ban, WatchBansResponse } from '@flowdam/proto'
import type { Api } from './api.js'
import { BLACKHOLE_COMMUNITY, type RouteChange } from './gobgp.js'

/** In the order in which they must happen. */
export const EVENTS = [
  'flood started',
  'threshold crossed',
  'ban decided',
  'hook executed',
  'route present',
  'flood stopped',
  'unban',
  'route gone',
] as const

export type EventName = (typeof EVENTS)[number]

export interface TimelineEvent {
  event: EventName
  /** After the flood's first packet, milliseconds. */
  atMs: number
}

/** Gathers when what happened to one attacked address, from the aggregator's watch and the router's own table. */
export class Timeline {
  /** The attacked address as a host prefix. */
  readonly prefix: string
  readonly #at = new Map<EventName, number>()
  readonly #stop = new AbortController()
  #ban: Ban | undefined

  constructor(prefix: string) {
    this.prefix = prefix
  }

  /** The ban, as last seen. */
  get ban(): Ban | undefined {
    return this.#ban
  }

  /** Subscribes to the aggregator's ban events until stop(). */
  watchBans(api: Api): void {
    const stream = api.bans.watchBans({})
    stream.on('data', (change: WatchBansResponse) => this.#banChanged(change))
    // Cancelling it ends it with an error.
    stream.on('error', () => {})
    this.#stop.signal.addEventListener('abort', () => stream.cancel())
  }

  stop(): void {
    this.#stop.abort()
  }

  /** For the router's `Speaker.watch`. */
  routeChanged({ at, present, route }: RouteChange): void {
    if (route.prefix !== this.prefix) return
    if (!present) this.mark('route gone', at)
    else if (route.communities.includes(BLACKHOLE_COMMUNITY)) this.mark('route present', at)
  }

  /** Only the first time counts. */
  mark(event: EventName, unixMs: number): void {
    if (!this.#at.has(event)) this.#at.set(event, unixMs)
  }

  has(event: EventName): true | undefined {
    return this.#at.has(event) ? true : undefined
  }

  events(): TimelineEvent[] {
    const start = this.#at.get('flood started') ?? 0
    return [...this.#at]
      .map(([event, at]) => ({ event, atMs: Math.round(at - start) }))
      .sort((a, b) => a.atMs - b.atMs || EVENTS.indexOf(a.event) - EVENTS.indexOf(b.event))
  }

  #banChanged({ ban }: WatchBansResponse): void {
    if (!ban || ban.prefix !== this.prefix) return
    this.#ban = ban
    this.mark('threshold crossed', ban.detectedUnixMs)
    this.mark('ban decided', ban.bannedUnixMs)
    const hook = ban.hooks.find(({ action, result }) => action === 'ban' && result === 'ok')
    if (hook) this.mark('hook executed', hook.startedUnixMs + hook.durationMs)
    if (ban.state === 'unbanned') this.mark('unban', ban.unbannedUnixMs)
  }
}
