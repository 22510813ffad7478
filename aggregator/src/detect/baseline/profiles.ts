// SPDX-License-Identifier: Apache-2.0
import { codeSteps, encodeRate, LARGEST, UNKNOWN } from './rate-code.js'
import type { Channel } from './rule.js'
import { HOURS_PER_WEEK, hourOfWeek, usualAt } from './week.js'

/** Minutes kept of the hour under way; timers are late, so that an hour never has more. */
export const MINUTES = 60
/** An hour with fewer minutes to learn from teaches nothing. */
export const ENOUGH_MINUTES = 30
/** Of an hour's minutes, this share lies at or below what is taken for usual: three odd minutes do not matter. */
export const QUANTILE = 0.95
const MOST_HOURS = 0xffff

/**
 * What was learned, for many targets in flat arrays: for each channel a week of hours and the minutes of the hour under
 * way, all as codes (rate-code.ts). 456 bytes for each channel; the kernel gives pages as profiles come into use.
 */
export class Profiles {
  readonly capacity: number
  readonly channels: number
  readonly hours: Uint16Array
  readonly minutes: Uint16Array
  /** Largest rate of the minute under way. */
  readonly peaks: Float64Array
  /** Minutes in `minutes`. */
  readonly filled: Uint8Array
  /** The hour that they are of, since 1970. */
  readonly hour: Uint32Array
  /** Hours that were learned from, ever, by profile and channel. */
  readonly learned: Uint16Array
  /** The last hour with traffic. */
  readonly active: Uint32Array
  /** Nothing is learned before this, by the detector's clock. */
  readonly excludedUntil: Float64Array
  readonly #sorted = new Uint16Array(MINUTES)

  constructor(capacity: number, channels: number) {
    this.capacity = capacity
    this.channels = channels
    this.hours = new Uint16Array(capacity * channels * HOURS_PER_WEEK)
    this.minutes = new Uint16Array(capacity * channels * MINUTES)
    this.peaks = new Float64Array(capacity * channels)
    this.filled = new Uint8Array(capacity)
    this.hour = new Uint32Array(capacity)
    this.learned = new Uint16Array(capacity * channels)
    this.active = new Uint32Array(capacity)
    this.excludedUntil = new Float64Array(capacity)
  }

  /** Nothing known of this one. */
  clear(index: number, hour: number): void {
    const { channels } = this
    this.hours.fill(UNKNOWN, index * channels * HOURS_PER_WEEK, (index + 1) * channels * HOURS_PER_WEEK)
    this.peaks.fill(0, index * channels, (index + 1) * channels)
    this.filled[index] = 0
    this.hour[index] = hour
    this.learned.fill(0, index * channels, (index + 1) * channels)
    this.active[index] = hour
    this.excludedUntil[index] = 0
  }

  /** A rate that was seen just now. */
  note(index: number, channel: number, rate: number): void {
    const at = index * this.channels + channel
    if (rate > (this.peaks[at] as number)) this.peaks[at] = rate
  }

  /** No minute before `until` teaches, and the last ones do not either: an attack's first packets are in them. */
  exclude(index: number, until: number): void {
    if (until <= (this.excludedUntil[index] as number)) return
    const already = (this.excludedUntil[index] as number) > 0
    this.excludedUntil[index] = until
    if (!already) this.filled[index] = Math.max(0, (this.filled[index] as number) - 2)
  }

  /**
   * Ends a minute of the target: keeps its peaks if they are to be learned from, and takes an hour that is over into
   * the week. True when it did.
   */
  endMinute(index: number, hour: number, now: number, usable: boolean): boolean {
    const { channels, peaks, minutes } = this
    const over = this.hour[index] !== hour
    const closed = over && this.#closeHour(index)
    if (over) {
      this.hour[index] = hour
      this.filled[index] = 0
    }
    if (now >= (this.excludedUntil[index] as number)) this.excludedUntil[index] = 0
    const filled = this.filled[index] as number
    const keeps = usable && this.excludedUntil[index] === 0 && filled < MINUTES
    for (let channel = 0; channel < channels; channel++) {
      const at = index * channels + channel
      const peak = peaks[at] as number
      peaks[at] = 0
      if (peak >= 1) this.active[index] = hour
      if (keeps) minutes[at * MINUTES + filled] = encodeRate(peak)
    }
    if (keeps) this.filled[index] = filled + 1
    return closed
  }

  /** The largest rate of the minute under way. */
  peakOf(index: number, channel: number): number {
    return this.peaks[index * this.channels + channel] as number
  }

  /** What was learned becomes so many times as much, hour by hour. */
  raise(index: number, channel: number, times: number): void {
    const steps = codeSteps(times)
    const at = this.weekOf(index, channel)
    for (let slot = at; slot < at + HOURS_PER_WEEK; slot++) {
      const code = this.hours[slot] as number
      if (code !== UNKNOWN && code > 0) this.hours[slot] = Math.min(LARGEST, code + steps)
    }
  }

  /** From now on minutes teach again; those of this hour so far are of before. */
  learnAgain(index: number): void {
    this.excludedUntil[index] = 0
    this.filled[index] = 0
  }

  /** What is usual at an hour since 1970, as a code; UNKNOWN before anything was learned. */
  usual(index: number, channel: number, hour: number): number {
    return usualAt(this.hours, this.weekOf(index, channel), hourOfWeek(hour))
  }

  /** Hours that one channel of a target was learned from. */
  learnedOf(index: number, channel: number): number {
    return this.learned[index * this.channels + channel] as number
  }

  /** What another set knows of a target, channel by channel as they are called. */
  copy(
    index: number,
    from: Profiles,
    old: number,
    oldChannels: readonly Channel[],
    channels: readonly Channel[],
  ): void {
    this.hour[index] = from.hour[old] as number
    this.active[index] = from.active[old] as number
    this.excludedUntil[index] = from.excludedUntil[old] as number
    this.filled[index] = from.filled[old] as number
    for (const [channel, { direction, metric }] of channels.entries()) {
      const same = oldChannels.findIndex((each) => each.direction === direction && each.metric === metric)
      if (same < 0) {
        // The hour under way has minutes of the others only.
        this.filled[index] = 0
        continue
      }
      const week = from.weekOf(old, same)
      this.hours.set(from.hours.subarray(week, week + HOURS_PER_WEEK), this.weekOf(index, channel))
      const minutes = (old * from.channels + same) * MINUTES
      this.minutes.set(
        from.minutes.subarray(minutes, minutes + MINUTES),
        (index * this.channels + channel) * MINUTES,
      )
      this.learned[index * this.channels + channel] = from.learnedOf(old, same)
    }
  }

  /** Where a channel's week begins in `hours`. */
  weekOf(index: number, channel: number): number {
    return (index * this.channels + channel) * HOURS_PER_WEEK
  }

  #closeHour(index: number): boolean {
    const count = this.filled[index] as number
    if (count < ENOUGH_MINUTES) return false
    const slot = hourOfWeek(this.hour[index] as number)
    const sorted = this.#sorted.subarray(0, count)
    for (let channel = 0; channel < this.channels; channel++) {
      const place = index * this.channels + channel
      const from = place * MINUTES
      for (let i = 0; i < count; i++) sorted[i] = this.minutes[from + i] as number
      const now = quantileOf(sorted)
      const at = this.weekOf(index, channel) + slot
      const before = this.hours[at] as number
      // The middle of the codes is the geometric mean of the rates: one odd week counts half, and half again.
      this.hours[at] = before === UNKNOWN ? now : Math.round((before + now) / 2)
      this.learned[place] = Math.min(MOST_HOURS, (this.learned[place] as number) + 1)
    }
    return true
  }
}

/** The value that QUANTILE of them do not exceed. Sorts them. */
export function quantileOf(codes: Uint16Array): number {
  codes.sort()
  return codes[Math.max(0, Math.ceil(codes.length * QUANTILE) - 1)] as number
}
