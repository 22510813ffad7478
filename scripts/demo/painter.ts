// SPDX-License-Identifier: Apache-2.0
import type { WriteStream } from 'node:tty'

const CLEAR_LINE = '\x1b[K'
const CLEAR_BELOW = '\x1b[J'
const HOME = '\x1b[H'
const OTHER_SCREEN = '\x1b[?1049h\x1b[?25l'
const FIRST_SCREEN = '\x1b[?1049l\x1b[?25h'

/** Draws lines at the same place again and again, on the terminal's second screen so that the first one stays. */
export class Painter {
  readonly #terminal: WriteStream
  #on = false

  constructor(terminal: WriteStream) {
    this.#terminal = terminal
  }

  start(): void {
    this.#on = true
    this.#terminal.write(OTHER_SCREEN)
  }

  /** What can be seen; the cursor needs the last line. */
  get room(): { columns: number; rows: number } {
    const { columns, rows } = this.#terminal
    return { columns, rows: Math.max(1, rows - 1) }
  }

  draw(lines: readonly string[]): void {
    if (!this.#on) return
    const { columns, rows } = this.room
    const shown = lines.slice(0, rows).map((line) => line.slice(0, columns) + CLEAR_LINE)
    this.#terminal.write(`${HOME}${shown.join('\n')}\n${CLEAR_BELOW}`)
  }

  stop(): void {
    if (this.#on) this.#terminal.write(FIRST_SCREEN)
    this.#on = false
  }
}
