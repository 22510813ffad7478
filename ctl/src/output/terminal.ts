// SPDX-License-Identifier: Apache-2.0

/** Where output goes and what may be written there. */
export interface Terminal {
  /** Columns that a line may fill; Infinity when nobody looks at it (a pipe, a file). */
  readonly width: number
  readonly isTty: boolean
  readonly colour: boolean
}

export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green'

const SGR: Record<Style, readonly [number, number]> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  yellow: [33, 39],
  green: [32, 39],
}

/**
 * What `stream` can show. Colours need a terminal and no NO_COLOR (https://no-color.org: any value but the empty one).
 * A pipe gets whole lines, unless COLUMNS is exported.
 */
export function describeTerminal(
  stream: { isTTY?: boolean; columns?: number },
  env: NodeJS.ProcessEnv,
): Terminal {
  const isTty = stream.isTTY === true
  const exported = Number(env['COLUMNS'])
  const told = Number.isInteger(exported) && exported > 0 ? exported : undefined
  const width = isTty ? stream.columns || told || 80 : (told ?? Number.POSITIVE_INFINITY)
  return { width, isTty, colour: isTty && !env['NO_COLOR'] && env['TERM'] !== 'dumb' }
}

export function paint(terminal: Terminal, style: Style | undefined, text: string): string {
  if (!terminal.colour || style === undefined) return text
  const [on, off] = SGR[style]
  return `\x1b[${on}m${text}\x1b[${off}m`
}

/** Text from elsewhere without control characters: a hook's output must not move the cursor of who reads it. */
export function printable(text: string): string {
  return Array.from(text, (char) => (isControl(char) ? '?' : char)).join('')
}

function isControl(char: string): boolean {
  const code = char.codePointAt(0) ?? 0
  return code < 0x20 || (code >= 0x7f && code < 0xa0)
}
