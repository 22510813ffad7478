// SPDX-License-Identifier: Apache-2.0
import { readFile, rename, writeFile } from 'node:fs/promises'

const MINUTE_MS = 60_000

/** First and last minute, since 1970. */
export type Minutes = [first: number, last: number]

/** Which minutes have flows that the sums do not have yet. On disk, because sums must not miss what a crash forgot. */
export class DirtyMinutes {
  readonly #file: string
  readonly #minutes = new Set<number>()
  /** Hours with minutes that were summed and are not yet in the hour's sum. Hours since 1970. */
  readonly #hours = new Set<number>()
  /** Taken, not yet computed. */
  #working: Minutes | undefined
  #since: number | undefined
  #unsaved = false
  #writing: Promise<void> = Promise.resolve()

  constructor(file: string) {
    this.#file = file
  }

  /** A file that cannot be read is taken as empty: the sums of those minutes stay as they are. */
  async start(): Promise<void> {
    const text = await readFile(this.#file, 'utf8').catch(() => '{"minutes":[],"hours":[]}')
    try {
      const { minutes, hours, since } = JSON.parse(text) as {
        minutes: Minutes[]
        hours: number[]
        since?: number
      }
      this.#since = since
      for (const range of minutes) this.#add(range)
      for (const hour of hours) this.#hours.add(hour)
    } catch {
      // Written whole or not at all; somebody else's text.
    }
  }

  get size(): number {
    return this.#minutes.size
  }

  /** The first minute all of whose flows were marked; undefined before it was ever set. Minutes since 1970. */
  get since(): number | undefined {
    return this.#since
  }

  async setSince(minute: number): Promise<void> {
    this.#since = minute
    await this.#save()
  }

  /** Whether the minute's sum has every flow that was marked. */
  hasMinute(minute: number): boolean {
    if (!this.#isSince(minute) || this.#minutes.has(minute)) return false
    return !this.#working || minute < this.#working[0] || minute > this.#working[1]
  }

  /** Whether the hour's sum has every flow that was marked. */
  hasHour(hour: number): boolean {
    if (this.#hours.has(hour) || !this.#isSince(hour * 60)) return false
    if (this.#minutes.size === 0 && !this.#working) return true
    for (let minute = hour * 60; minute < hour * 60 + 60; minute++) if (!this.hasMinute(minute)) return false
    return true
  }

  /** Resolves when it is on disk; at once when nothing is new. */
  async mark(fromUnixMs: number, toUnixMs: number): Promise<void> {
    const before = this.#minutes.size
    this.#add([Math.floor(fromUnixMs / MINUTE_MS), Math.floor(toUnixMs / MINUTE_MS)])
    this.#unsaved ||= this.#minutes.size > before
    if (this.#unsaved) await this.#save()
    else await this.#writing
  }

  /** The oldest due minutes, at most `most` in a row, within one hour. */
  next(dueBeforeUnixMs: number, most: number): Minutes | undefined {
    const due = Math.floor(dueBeforeUnixMs / MINUTE_MS)
    let first = Number.POSITIVE_INFINITY
    for (const minute of this.#minutes) first = Math.min(first, minute)
    if (first >= due) return undefined
    let last = first
    const end = Math.min(due, first - (first % 60) + 60, first + most)
    while (last + 1 < end && this.#minutes.has(last + 1)) last++
    return [first, last]
  }

  /** What is marked from now on counts again. */
  take(minutes: Minutes): void {
    this.#working = minutes
    for (let minute = minutes[0]; minute <= minutes[1]; minute++) this.#minutes.delete(minute)
  }

  /** After take(): the sums have it, or not. */
  async done(computed: boolean): Promise<void> {
    if (this.#working && computed) this.#hours.add(Math.floor(this.#working[0] / 60))
    else if (this.#working) this.#add(this.#working)
    this.#working = undefined
    if (computed) await this.#save()
  }

  get hours(): readonly number[] {
    return [...this.#hours]
  }

  /** The hour's sum has all minutes that were summed before. */
  async hourDone(hour: number): Promise<void> {
    this.#hours.delete(hour)
    await this.#save()
  }

  #isSince(minute: number): boolean {
    return this.#since !== undefined && minute >= this.#since
  }

  #add([first, last]: Minutes): void {
    for (let minute = first; minute <= last; minute++) this.#minutes.add(minute)
  }

  #save(): Promise<void> {
    const write = async () => {
      this.#unsaved = false
      try {
        const content = { minutes: this.#ranges(), hours: this.hours, since: this.#since }
        await writeFile(`${this.#file}.new`, JSON.stringify(content), { flush: true })
        await rename(`${this.#file}.new`, this.#file)
      } catch (error) {
        this.#unsaved = true
        throw error
      }
    }
    this.#writing = this.#writing.then(write, write)
    return this.#writing
  }

  #ranges(): Minutes[] {
    const ranges: Minutes[] = []
    const all = new Set(this.#minutes)
    if (this.#working)
      for (let minute = this.#working[0]; minute <= this.#working[1]; minute++) all.add(minute)
    for (const minute of [...all].sort((a, b) => a - b)) {
      const last = ranges.at(-1)
      if (last && last[1] + 1 === minute) last[1] = minute
      else ranges.push([minute, minute])
    }
    return ranges
  }
}
