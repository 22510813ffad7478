// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises'
import type { DiskSpace } from './space.js'

/** low: less than the reserve is free. critical: less than half of it. */
export type DiskState = 'ok' | 'low' | 'critical'

export interface DiskWatchOptions {
  /** Rejects, or resolves with nothing, where it cannot be known: then it is taken to be as it was. */
  look: () => Promise<DiskSpace | undefined>
  /** What must stay free of so many bytes; 0 for no watch. */
  reserve: (totalBytes: number) => number
  everyMs: number
  /** After each change; must not throw. */
  onState?: (state: DiskState) => void
}

/** A little more than the reserve, before it is well again: what waited would take it below at once. */
const WELL = 1.125

/** Looks how much room a disk has, again and again, so that work stops before the disk is full and not when. */
export class DiskWatch {
  readonly #options: DiskWatchOptions
  #abort = new AbortController()
  #working: Promise<void> | undefined
  #space: DiskSpace | undefined
  #state: DiskState = 'ok'
  #waiting: (() => void)[] = []

  constructor(options: DiskWatchOptions) {
    this.#options = options
  }

  /** Resolves after the first look. */
  async start(): Promise<void> {
    this.#abort = new AbortController()
    await this.look()
    this.#working = this.#work(this.#abort.signal)
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    this.#wake()
    await this.#working
  }

  get state(): DiskState {
    return this.#state
  }

  /** 0 while it is not known. */
  get freeBytes(): number {
    return this.#space?.freeBytes ?? 0
  }

  /** 0 while it is not known, or where nothing is to be kept free. */
  get reserveBytes(): number {
    return this.#space ? this.#options.reserve(this.#space.totalBytes) : 0
  }

  /** Never rejects. */
  async look(): Promise<void> {
    const space = await this.#options.look().catch(() => undefined)
    if (space) this.#space = space
    const state = this.#judge()
    if (state === this.#state) return
    this.#state = state
    if (state === 'ok') this.#wake()
    this.#options.onState?.(state)
  }

  /** Resolves when there is room, or `signal` is aborted, or the watch ends. */
  async room(signal: AbortSignal): Promise<void> {
    while (this.#state !== 'ok' && !signal.aborted && !this.#abort.signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          signal.removeEventListener('abort', wake)
          resolve()
        }
        signal.addEventListener('abort', wake)
        this.#waiting.push(wake)
      })
    }
  }

  #judge(): DiskState {
    const { freeBytes: free, reserveBytes: reserve } = this
    if (!this.#space || free >= reserve * (this.#state === 'ok' ? 1 : WELL)) return 'ok'
    return free < reserve / 2 ? 'critical' : 'low'
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async #work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#options.everyMs, undefined, { signal }).catch(() => undefined)
      if (!signal.aborted) await this.look()
    }
  }
}
