// SPDX-License-Identifier: Apache-2.0
import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describeError, type Logger } from '@flowdam/common'

export interface DeadLettersOptions {
  /** Made with its folder when there is something to keep. */
  path: string
  maxBytes: number
  log: Logger
}

/** What was set aside, and why. */
export interface DeadLetter {
  what: 'batch' | 'deltas' | 'spool'
  /** In the words of who found it. */
  reason: string
  /** The aggregator that refused it, or us. */
  by: string
  bootId?: number | undefined
  seq?: number | undefined
  records?: number
  packets?: number
  bytes?: number
  /** As it would have been sent, or as it lies in the spool. */
  content: Uint8Array
}

/**
 * Messages that nobody can take, in a file of JSON lines for whoever looks for the reason; `content` is base64. Bounded:
 * when it is full a line is left out, for the first ones say most. Never throws: evidence must not wait for this.
 */
export class DeadLetters {
  readonly path: string
  /** Lines left out: no room, or no disk. */
  leftOut = 0
  readonly #options: DeadLettersOptions
  #last: Promise<void> = Promise.resolve()

  constructor(options: DeadLettersOptions) {
    this.path = options.path
    this.#options = options
  }

  /** Resolves when it is on the disk, or cannot be. */
  keep(letter: DeadLetter): Promise<void> {
    const { content, ...rest } = letter
    const base64 = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('base64')
    const line = JSON.stringify({ time: new Date().toISOString(), ...rest, content: base64 })
    this.#last = this.#last.then(() => this.#append(Buffer.from(`${line}\n`)))
    return this.#last
  }

  async #append(line: Buffer): Promise<void> {
    const { path, maxBytes, log } = this.#options
    try {
      await mkdir(dirname(path), { recursive: true })
      const file = await open(path, 'a', 0o600)
      try {
        const { size } = await file.stat()
        if (size + line.length > maxBytes) throw new Error(`${path} has reached its ${maxBytes} bytes`)
        try {
          await file.appendFile(line)
          await file.datasync()
        } catch (error) {
          await file.truncate(size).catch(() => undefined)
          throw error
        }
      } finally {
        await file.close()
      }
    } catch (error) {
      this.leftOut++
      log.warn({ reason: describeError(error) }, 'what was set aside is counted, but not kept')
    }
  }
}
