// SPDX-License-Identifier: Apache-2.0
import { paint, printable, type Style, type Terminal } from './terminal.js'

export interface Column<Row> {
  title: string
  cell: (row: Row) => string
  align?: 'left' | 'right'
  /** Columns with a greater number leave first when the terminal is too narrow; without one they stay. */
  dropOrder?: number
  /** How the column gives way when dropping was not enough: cut at the end, or in the middle (addresses). */
  shrink?: 'end' | 'middle'
  style?: (row: Row) => Style | undefined
}

const GAP = '  '
const SHORTEST = 8

/** Rows under a header line, fitted to the terminal: optional columns leave first, then long cells are cut with "…". */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  terminal: Terminal,
): string {
  const laidOut = fit(
    columns.map((column) => measure(column, rows)),
    terminal.width,
  )
  return renderHeader(laidOut, terminal) + renderRows(laidOut, rows, terminal)
}

/** The same for rows that come bit by bit: columns keep the width that they once needed. */
export class RunningTable<Row> {
  readonly #columns: readonly Column<Row>[]
  readonly #widest: number[]
  #shown = ''
  #sinceHeader = 0

  constructor(columns: readonly Column<Row>[]) {
    this.#columns = columns
    this.#widest = columns.map(() => 0)
  }

  /** With a header line where the columns change, and on a terminal once for each `screen` rows. */
  render(rows: readonly Row[], terminal: Terminal, screen: number): string {
    const measured = this.#columns.map((column, index) => {
      const found = measure(column, rows)
      const widest = Math.max(this.#widest[index] ?? 0, cellWidth(found.texts))
      this.#widest[index] = widest
      return { ...found, width: Math.max(widest, column.title.length), filled: widest > 0 }
    })
    const laidOut = fit(measured, terminal.width)
    const titles = laidOut.map(({ column }) => column.title).join()
    const due = titles !== this.#shown || (terminal.isTty && this.#sinceHeader >= screen)
    this.#shown = titles
    this.#sinceHeader = due ? rows.length : this.#sinceHeader + rows.length
    return (due ? renderHeader(laidOut, terminal) : '') + renderRows(laidOut, rows, terminal)
  }
}

function renderHeader<Row>(laidOut: readonly Measured<Row>[], terminal: Terminal): string {
  const titles = laidOut.map(({ column, width }) => pad(cut(column.title, width, 'end'), width, column.align))
  return `${paint(terminal, 'bold', joinCells(titles))}\n`
}

function renderRows<Row>(
  laidOut: readonly Measured<Row>[],
  rows: readonly Row[],
  terminal: Terminal,
): string {
  const lines = rows.map((row, index) => {
    const cells = laidOut.map(({ column, width, texts }) => {
      const text = pad(cut(texts[index] ?? '', width, column.shrink ?? 'end'), width, column.align)
      return text.trim() === '' ? text : paint(terminal, column.style?.(row), text)
    })
    return `${joinCells(cells)}\n`
  })
  return lines.join('')
}

interface Measured<Row> {
  column: Column<Row>
  texts: string[]
  width: number
  /** Some row has something in it. */
  filled: boolean
}

function measure<Row>(column: Column<Row>, rows: readonly Row[]): Measured<Row> {
  const texts = rows.map((row) => printable(column.cell(row)))
  const widest = cellWidth(texts)
  // Without rows nobody knows.
  const filled = rows.length === 0 || widest > 0
  return { column, texts, width: Math.max(widest, column.title.length), filled }
}

function cellWidth(texts: readonly string[]): number {
  return texts.reduce((widest, text) => Math.max(widest, text.length), 0)
}

function fit<Row>(measured: Measured<Row>[], available: number): Measured<Row>[] {
  let kept = withoutEmpty(measured)
  while (totalWidth(kept) > available) {
    const next = leastWanted(kept)
    if (next === undefined) break
    kept = kept.filter((candidate) => candidate !== next)
  }
  shrinkWidest(kept, available)
  return kept
}

/** An optional column without a single value tells nothing at any width. */
function withoutEmpty<Row>(measured: Measured<Row>[]): Measured<Row>[] {
  return measured.filter(({ column, filled }) => column.dropOrder === undefined || filled)
}

function leastWanted<Row>(measured: Measured<Row>[]): Measured<Row> | undefined {
  return measured
    .filter(({ column }) => column.dropOrder !== undefined)
    .sort((a, b) => (b.column.dropOrder ?? 0) - (a.column.dropOrder ?? 0))[0]
}

function shrinkWidest<Row>(measured: Measured<Row>[], available: number): void {
  let excess = totalWidth(measured) - available
  while (excess > 0) {
    const widest = measured
      .filter(({ column, width }) => column.shrink !== undefined && width > SHORTEST)
      .sort((a, b) => b.width - a.width)[0]
    if (widest === undefined) return
    widest.width--
    excess--
  }
}

function totalWidth<Row>(measured: Measured<Row>[]): number {
  return measured.reduce((sum, { width }) => sum + width, 0) + GAP.length * Math.max(0, measured.length - 1)
}

/** `text` in at most `width` columns. */
export function cut(text: string, width: number, where: 'end' | 'middle'): string {
  if (text.length <= width) return text
  if (where === 'end') return `${text.slice(0, width - 1)}…`
  const tail = Math.floor((width - 1) / 2)
  return `${text.slice(0, width - 1 - tail)}…${text.slice(text.length - tail)}`
}

function pad(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  return align === 'right' ? text.padStart(width) : text.padEnd(width)
}

function joinCells(cells: string[]): string {
  return cells.join(GAP).trimEnd()
}
