// SPDX-License-Identifier: Apache-2.0
import type { Ban } from '../bans/ban.js'
import { hooksTold, isTold } from '../bans/levels.js'
import type { HostRates } from '../detect/sample.js'
import type { Hook } from './hook.js'

export interface HookUpdatesOptions {
  /** In force, with hooks that were told of them. */
  bans: () => readonly Ban[]
  hooks: () => readonly Hook[]
  /** What the ban's prefix does now; undefined when nothing is counted for it. */
  measure: (ban: Ban) => { rates: HostRates; averages: HostRates } | undefined
  update: (hook: Hook, ban: Ban) => void
  /** Milliseconds since 1970. */
  clock?: () => number
}

const TICK_MS = 1000

/** Tells hooks that asked for it how an attack goes on, each at its own interval. */
export class HookUpdates {
  readonly #options: HookUpdatesOptions
  readonly #clock: () => number
  /** When it was last told, by ban and hook. */
  #toldAt = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: HookUpdatesOptions) {
    this.#options = options
    this.#clock = options.clock ?? Date.now
  }

  start(): void {
    this.#timer = setInterval(() => this.tick(), TICK_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Sends what is due; called by a timer. */
  tick(): void {
    const hooks = this.#options.hooks().filter(({ updatesMs }) => updatesMs > 0)
    const told = new Map<string, number>()
    const now = this.#clock()
    if (hooks.length > 0) {
      for (const ban of this.#options.bans()) {
        // A ban by hand is about no attack.
        if (ban.dryRun || ban.lastSeenUnixMs === 0) continue
        for (const hook of hooks) if (isTold(hooksTold(ban), hook.name)) this.#tell(ban, hook, now, told)
      }
    }
    this.#toldAt = told
  }

  #tell(ban: Ban, hook: Hook, now: number, told: Map<string, number>): void {
    const key = `${ban.id} ${hook.name}`
    // After a restart, from the restart: the ban was announced again then.
    const last = this.#toldAt.get(key) ?? now
    if (now - last < hook.updatesMs) {
      told.set(key, last)
      return
    }
    told.set(key, now)
    this.#options.update(hook, { ...ban, ...this.#options.measure(ban) })
  }
}
