// SPDX-License-Identifier: Apache-2.0
import { renameSync } from 'node:fs'
import { describeError, type Logger } from '@flowdam/common'
import type { OwnPolicies } from '../counters.js'
import type { PolicySet } from '../policies.js'
import { Learner } from './learner.js'
import { type BaselineReport, reportOf } from './report.js'
import { readSnapshot, type Snapshot, writeSnapshot } from './snapshot.js'
import type { BaselineScope, Subject } from './subject.js'

export interface BaselinesOptions {
  /** Where what was learned is kept; in memory only without. */
  file?: string
  log: Logger
  /** Most addresses with a profile. */
  maxProfiles?: number
  /** Unix time, milliseconds: the hour of the week is of the world, not of the process. */
  wallClock?: () => number
  /** Whether an address must not teach now: under a ban its traffic vanishes. */
  suppressed?: (address: Uint8Array) => boolean
}

export const DEFAULT_MAX_PROFILES = 65_536
const SAVE_MS = 15 * 60_000

/** What is usual for addresses, hostgroups and everything together: learned, kept over restarts, turned into thresholds. */
export class Baselines {
  readonly #options: BaselinesOptions
  readonly wallClock: () => number
  #learner: Learner | undefined
  #policies: PolicySet | undefined
  #timer: NodeJS.Timeout | undefined
  #saving: Promise<void> | undefined
  #started = false
  #refusedBefore = 0
  #evictedBefore = 0
  /** Files that were there and could not be used. */
  damagedFiles = 0
  failedSaves = 0
  savedUnixMs = 0
  lastError = ''

  constructor(options: BaselinesOptions) {
    this.#options = options
    this.wallClock = options.wallClock ?? Date.now
  }

  /** Reads what was learned before. */
  start(): void {
    this.#started = true
    if (this.#learner) this.#load(this.#learner)
    this.#timer = setInterval(() => void this.save(), SAVE_MS)
    this.#timer.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#saving
    await this.save()
  }

  get learner(): Learner | undefined {
    return this.#learner
  }

  /** For the counters of these policies; undefined where nothing is learned. */
  configure(policies: PolicySet): OwnPolicies | undefined {
    const before = this.#learner
    this.#policies = policies
    if (policies.channels.length === 0) {
      // What was learned stays in the file for the day when it is wanted again.
      this.#forgetCounts(before)
      this.#learner = undefined
      return undefined
    }
    const learner = new Learner(policies, {
      maxProfiles: this.#options.maxProfiles ?? DEFAULT_MAX_PROFILES,
      suppressed: this.#options.suppressed ?? (() => false),
      wallClock: this.wallClock,
    })
    this.#learner = learner
    if (before) {
      this.#forgetCounts(before)
      learner.takeOver(before)
    } else if (this.#started) this.#load(learner)
    return learner
  }

  #load(learner: Learner): void {
    const snapshot = this.#read()
    if (snapshot) learner.restore(snapshot)
  }

  get size(): number {
    return this.#learner?.hostCount ?? 0
  }

  /** Looks that found no room, profiles that made room or were idle, files that could not be read. */
  get losses(): { refused: number; evicted: number; damagedFiles: number } {
    return {
      refused: this.#refusedBefore + (this.#learner?.refused ?? 0),
      evicted: this.#evictedBefore + (this.#learner?.evicted ?? 0),
      damagedFiles: this.damagedFiles,
    }
  }

  /** What was learned of one target; undefined when nothing was. */
  report(scope: BaselineScope, target: string): BaselineReport | undefined {
    const subject = this.#learner?.subject(scope, target)
    return subject && reportOf(subject, this.wallClock())
  }

  /** Of everything: total and hostgroups first, then addresses, in no order. */
  *reports(): IterableIterator<BaselineReport> {
    const now = this.wallClock()
    for (const subject of this.subjects()) yield reportOf(subject, now)
  }

  *subjects(): IterableIterator<Subject> {
    if (this.#learner) yield* this.#learner.subjects()
  }

  get policies(): PolicySet | undefined {
    return this.#policies
  }

  /** A target begins anew; false when nothing was known of it. */
  forget(scope: BaselineScope, target: string): boolean {
    return this.#learner?.forget(scope, target) ?? false
  }

  /** Never rejects: what could not be written is written again the next time. */
  async save(): Promise<void> {
    const learner = this.#learner
    const { file, log } = this.#options
    if (!learner || file === undefined) return
    if (this.#saving) return this.#saving
    this.#saving = writeSnapshot(file, learner.channels, learner.groups.names, learner.stored())
      .then(() => {
        this.savedUnixMs = this.wallClock()
        this.lastError = ''
      })
      .catch((error: unknown) => {
        this.failedSaves++
        this.lastError = describeError(error)
        log.error({ err: this.lastError, file }, 'FD_BASELINE_WRITE: what was learned cannot be written')
      })
      .finally(() => {
        this.#saving = undefined
      })
    return this.#saving
  }

  #read(): Snapshot | undefined {
    const { file, log } = this.#options
    if (file === undefined) return undefined
    try {
      return readSnapshot(file)
    } catch (error) {
      this.damagedFiles++
      const aside = `${file}.damaged`
      let kept = aside
      try {
        renameSync(file, aside)
      } catch (cause) {
        kept = `not kept: ${describeError(cause)}`
      }
      log.error(
        { err: describeError(error), file, aside: kept },
        'FD_BASELINE_DAMAGED: the learned baselines cannot be read; learning begins anew and the configured thresholds decide',
      )
      return undefined
    }
  }

  #forgetCounts(before: Learner | undefined): void {
    this.#refusedBefore += before?.refused ?? 0
    this.#evictedBefore += before?.evicted ?? 0
  }
}
