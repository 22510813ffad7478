// SPDX-License-Identifier: Apache-2.0
import { paint, printable, type Style, type Terminal } from './terminal.js'

export interface Field {
  name: string
  value: string
  style?: Style
}

const SMALLEST_VALUE = 30

/** `Name   value` lines, the values aligned; a value too long for the terminal goes on under its own beginning. */
export function renderFields(fields: readonly Field[], terminal: Terminal): string {
  const indent = fields.reduce((widest, { name }) => Math.max(widest, name.length), 0) + 2
  const lines = fields.flatMap(({ name, value, style }) =>
    wrap(value, Math.max(SMALLEST_VALUE, terminal.width - indent)).map(
      (part, index) =>
        paint(terminal, 'bold', (index === 0 ? name : '').padEnd(indent)) + paint(terminal, style, part),
    ),
  )
  return `${lines.join('\n')}\n`
}

const NO_BREAK = '\u00a0'

/** Keeps a phrase, such as a number and its name, on one line when it is wrapped. */
export function phrase(text: string): string {
  return text.replaceAll(' ', NO_BREAK)
}

/** Words of `text` in lines of at most `width` columns; a longer word gets a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const paragraph of text.split('\n')) {
    let line = ''
    for (const word of printable(paragraph).split(' ')) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line)
        line = word
      } else {
        line = line === '' ? word : `${line} ${word}`
      }
    }
    lines.push(line)
  }
  return lines.map((line) => line.replaceAll(NO_BREAK, ' '))
}
