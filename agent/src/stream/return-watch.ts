// SPDX-License-Identifier: Apache-2.0
import type { Hello } from '@flowdam/proto'
import { Connection, type ConnectionTarget } from './connection.js'
import { understands } from './version.js'

/** How often the first aggregator is tried while another has the stream. */
const RETURN_EVERY_MS = 5000

export interface ReturnWatchOptions {
  /** In order of preference. */
  targets: readonly ConnectionTarget[]
  hello: () => Hello
  /** Position of the one that has the stream; undefined while nothing better is wanted. */
  current: () => number | undefined
  /** One before the current answers. */
  onFound: (at: number) => void
  /** For tests. */
  everyMs?: number | undefined
}

/** Asks the aggregators before the one in use whether one is back; a Welcome is the only proof. */
export class ReturnWatch {
  readonly #options: ReturnWatchOptions
  #scout: Connection | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(options: ReturnWatchOptions) {
    this.#options = options
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(0), this.#options.everyMs ?? RETURN_EVERY_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.drop()
  }

  /** The look that is under way does not matter any more. */
  drop(): void {
    void this.#scout?.stop(0)
    this.#scout = undefined
  }

  #look(at: number): void {
    const { targets, hello, current, onFound } = this.#options
    const target = targets[at]
    if (this.#scout || !target || at >= (current() ?? 0)) return
    const scout = new Connection(target, {
      welcome: (welcome) => {
        this.drop()
        if (!understands(welcome)) return this.#look(at + 1)
        onFound(at)
      },
      message: () => {},
      ended: () => {
        this.#scout = undefined
        this.#look(at + 1)
      },
    })
    this.#scout = scout
    scout.start({ $case: 'hello', value: hello() })
  }
}
