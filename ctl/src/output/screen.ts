// SPDX-License-Identifier: Apache-2.0
import type { Session } from '../session.js'
import { formatClock } from './units.js'

/** Below the heading and its blank line, and above the line that the cursor rests on. */
const LINES_AROUND = 4

/** A picture drawn over the last one, line by line, so that nothing flickers. For terminals only. */
export class Screen {
  readonly #session: Session
  #begun = false

  constructor(session: Session) {
    this.#session = session
  }

  /** Lines that fit below the heading. */
  get room(): number {
    return Math.max(1, this.#session.rows - LINES_AROUND)
  }

  draw(heading: string, body: string): void {
    const session = this.#session
    const clear = this.#begun ? '' : '\x1b[2J'
    this.#begun = true
    const shown = body
      .split('\n')
      .slice(0, this.room + 1)
      .join('\n')
    const text = `${formatClock(session.now())}  ${session.client.server}, ${heading}\n\n${shown}`
    session.write(`${clear}\x1b[H${text.trimEnd().replaceAll('\n', '\x1b[K\n')}\x1b[K\n\x1b[J`)
  }

  /** The prompt begins a line of its own, not behind the terminal's ^C. */
  end(): void {
    if (this.#begun) this.#session.write('\n')
  }
}
