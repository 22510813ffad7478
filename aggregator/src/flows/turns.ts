// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from '@flowdam/common'
import { notWanted } from '../store/cancel.js'
import { type QueryLimits, StoreFailure } from '../store/engine.js'

/** What a person's or program's query may cost. Beside two loaders in 2 GB there must be room for what they do. */
export const PEOPLE: QueryLimits = { timeoutMs: 20_000, maxMemoryBytes: 500e6, patient: true }

export type Totals = Record<'flows' | 'packets' | 'bytes', string>

/** ClickHouse's numbers for too slow and too much memory. */
const TOO_MUCH = [159, 241]

/**
 * Queries that people ask for, a few at a time, so that many of them cost loading no more than a few; those beyond
 * `most` are refused rather than kept waiting.
 */
export class Turns {
  readonly #atATime: number
  readonly #most: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(atATime = 2, most = 16) {
    this.#atATime = atATime
    this.#most = most
  }

  /** Rejects with FD_QUERY_BUSY, or FD_QUERY_FAILED for a StoreFailure. Who is gone when the turn comes has none. */
  async run<T>(signal: AbortSignal, query: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#atATime) {
      if (this.#waiting.length >= this.#most) {
        throw new FlowdamError('FD_QUERY_BUSY', `${this.#most} queries wait for their turn already`, {
          remedy: 'ask again later',
        })
      }
      // Whoever ends leaves the place to the next, so `#running` stays.
      await this.#turn(signal)
    } else {
      this.#running++
    }
    try {
      if (signal.aborted) throw notWanted()
      return await query()
    } catch (error) {
      throw queryError(error)
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running--
    }
  }

  /** Those who are gone make room for others who wait. */
  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(begin), 1)
        reject(queryError(notWanted()))
      }
      const begin = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      this.#waiting.push(begin)
      if (signal.aborted) leave()
      else signal.addEventListener('abort', leave, { once: true })
    })
  }
}

function queryError(cause: unknown): unknown {
  if (!(cause instanceof StoreFailure)) return cause
  const remedy = TOO_MUCH.includes(cause.code ?? 0)
    ? 'ask for a shorter time or a narrower filter'
    : 'see `flowdam status`'
  return new FlowdamError('FD_QUERY_FAILED', `the store did not answer: ${cause.message}`, { cause, remedy })
}

/** Who waits for an answer, and for how long. */
export interface Asker {
  withinMs: number
  signal: AbortSignal
}

export const PATIENT_ASKER: Asker = {
  withinMs: Number.POSITIVE_INFINITY,
  signal: new AbortController().signal,
}

/** The store gives up when the asker does: nobody would read the answer. `began`: performance.now() of the question. */
export function limitsFor({ withinMs, signal }: Asker, began: number): QueryLimits {
  const left = withinMs - (performance.now() - began)
  if (signal.aborted || left <= 0) throw notWanted()
  return { ...PEOPLE, timeoutMs: Math.min(PEOPLE.timeoutMs, Math.ceil(left)), signal }
}
