// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { Failure } from './failure.js'

/** An aggregator that is away for hours is one warning, not thousands. */
export class FailureLog {
  readonly #log: Logger
  readonly #last = new Map<string, string>()

  constructor(log: Logger) {
    this.#log = log
  }

  /** Why the last attempt failed; undefined before the first failure. */
  get last(): string | undefined {
    return [...this.#last.values()].at(-1)
  }

  failed(aggregator: string, { text: reason }: Failure, retryInMs: number): void {
    const line = { aggregator, reason, retryInMs }
    if (this.#last.get(aggregator) === reason) this.#log.debug(line, 'no stream to the aggregator')
    else this.#log.warn(line, 'no stream to the aggregator')
    this.#last.set(aggregator, reason)
  }

  succeeded(aggregator: string): void {
    this.#last.delete(aggregator)
  }
}
