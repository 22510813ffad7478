// SPDX-License-Identifier: Apache-2.0

/** How many calls of one hook run at the same time. What was just decided goes ahead of what is repeated. */
export class Slots {
  #limit: number
  #used = 0
  readonly #urgent: (() => void)[] = []
  readonly #others: (() => void)[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  get used(): number {
    return this.#used
  }

  /** Waits until one is free. */
  take(urgent: boolean): Promise<void> {
    return new Promise((resolve) => {
      const queue = urgent ? this.#urgent : this.#others
      queue.push(resolve)
      this.#serve()
    })
  }

  give(): void {
    this.#used--
    this.#serve()
  }

  resize(limit: number): void {
    this.#limit = limit
    this.#serve()
  }

  #serve(): void {
    while (this.#used < this.#limit) {
      const next = this.#urgent.shift() ?? this.#others.shift()
      if (!next) return
      this.#used++
      next()
    }
  }
}
