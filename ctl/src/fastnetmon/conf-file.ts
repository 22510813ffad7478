// SPDX-License-Identifier: Apache-2.0
import type { Complaints } from './source.js'

export interface ConfLine {
  line: number
  key: string
  value: string
}

/** A fastnetmon.conf as FastNetMon 1.2 reads it: `key = value`, the last one of a key counts. */
export class Conf {
  readonly file: string
  readonly lines: readonly ConfLine[]
  /** Lines that FastNetMon cannot read; it logs them and goes on. */
  readonly unreadable: readonly { line: number; text: string }[]
  readonly #last = new Map<string, ConfLine>()
  readonly #complaints: Complaints

  constructor(file: string, texts: readonly string[], complaints: Complaints) {
    const lines: ConfLine[] = []
    const unreadable: { line: number; text: string }[] = []
    for (const [index, text] of texts.entries()) {
      if (text === '' || text.startsWith('#')) continue
      const line = index + 1
      // Several = in a row are one, but a second one further on makes FastNetMon give up on the line.
      const parts = text.split(/=+/)
      const [key = '', value = ''] = parts.map((part) => part.trim())
      if (parts.length !== 2 || key === '') unreadable.push({ line, text })
      else lines.push({ line, key, value })
    }
    this.file = file
    this.lines = lines
    this.unreadable = unreadable
    this.#complaints = complaints
    for (const entry of lines) this.#last.set(entry.key, entry)
  }

  /** The line of a key that counts. */
  find(key: string): ConfLine | undefined {
    return this.#last.get(key)
  }

  text(key: string): string {
    return this.find(key)?.value ?? ''
  }

  /** Only the word `on` is on. */
  isOn(key: string, absent = false): boolean {
    const found = this.find(key)
    return found ? found.value === 'on' : absent
  }

  /** A whole number; what is none is complained of. */
  number(key: string, absent: number): number {
    const found = this.find(key)
    if (!found) return absent
    const [, digits] = /^(\d+)\s*(#.*)?$/.exec(found.value) ?? []
    const value = Number(digits)
    // FastNetMon keeps them in 32 bits.
    if (digits !== undefined && value < 2 ** 32) return value
    this.complain(found, `'${found.value}' is no whole number below 2^32`)
    return absent
  }

  complain({ line, key }: Pick<ConfLine, 'line' | 'key'>, message: string): void {
    this.#complaints.add(this.file, line, `${key}: ${message}`)
  }
}
