// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Column, cut, renderTable } from './table.js'
import type { Terminal } from './terminal.js'

interface Row {
  address: string
  rate: string
  remark: string
}

const COLUMNS: Column<Row>[] = [
  { title: 'ADDRESS', cell: ({ address }) => address, shrink: 'middle' },
  { title: 'RATE', cell: ({ rate }) => rate, align: 'right' },
  { title: 'REMARK', cell: ({ remark }) => remark, dropOrder: 1 },
]
const ROWS: Row[] = [
  { address: '203.0.113.5', rate: '12 kpps', remark: 'flood' },
  { address: '2001:db8:1234:5678:9abc:def0:1234:5678', rate: '5 pps', remark: '' },
]

const pipe: Terminal = { width: Number.POSITIVE_INFINITY, isTty: false, colour: false }
const wide = (width: number): Terminal => ({ width, isTty: true, colour: false })

describe('renderTable', () => {
  it('aligns columns, numbers to the right, and leaves no blanks at the end of a line', () => {
    assert.equal(
      renderTable(COLUMNS, ROWS, pipe),
      [
        'ADDRESS                                    RATE  REMARK',
        '203.0.113.5                             12 kpps  flood',
        '2001:db8:1234:5678:9abc:def0:1234:5678    5 pps',
        '',
      ].join('\n'),
    )
  })

  it('drops an optional column before it cuts anything', () => {
    assert.equal(
      renderTable(COLUMNS, ROWS, wide(48)),
      [
        'ADDRESS                                    RATE',
        '203.0.113.5                             12 kpps',
        '2001:db8:1234:5678:9abc:def0:1234:5678    5 pps',
        '',
      ].join('\n'),
    )
  })

  it('cuts an address in its middle, where both ends still tell which it is', () => {
    assert.match(renderTable(COLUMNS, ROWS, wide(30)), /^2001:db8:1…:1234:5678 +5 pps$/m)
  })

  it('leaves out an optional column without any value', () => {
    const [, second] = ROWS
    assert.doesNotMatch(renderTable(COLUMNS, second ? [second] : [], pipe), /REMARK/)
  })

  it('never lets a control character through', () => {
    const rows = [{ address: 'a\x1b[2Jb', rate: '1', remark: 'x\ny' }]
    assert.match(renderTable(COLUMNS, rows, pipe), /^a\?\[2Jb +1 +x\?y$/m)
  })

  it('colours only where the terminal takes colours, and the width stays right', () => {
    const columns: Column<Row>[] = [{ title: 'A', cell: ({ address }) => address, style: () => 'red' }]
    const coloured = renderTable(columns, ROWS.slice(0, 1), { width: 80, isTty: true, colour: true })
    assert.equal(coloured, '\x1b[1mA\x1b[22m\n\x1b[31m203.0.113.5\x1b[39m\n')
  })

  it('fits every width from which the columns that cannot give way fit', () => {
    const text = fc.string({ unit: 'grapheme-ascii', maxLength: 60 })
    const row = fc.record({
      address: text,
      rate: fc.string({ unit: 'grapheme-ascii', maxLength: 8 }),
      remark: text,
    })
    fc.assert(
      fc.property(fc.array(row, { minLength: 1 }), fc.integer({ min: 18, max: 200 }), (rows, width) => {
        const lines = renderTable(COLUMNS, rows, wide(width)).split('\n')
        assert.ok(lines.every((line) => line.length <= width))
        assert.equal(lines.length, rows.length + 2)
      }),
    )
  })
})

describe('cut', () => {
  it('marks what it took away', () => {
    assert.equal(cut('abcdefgh', 5, 'end'), 'abcd…')
    assert.equal(cut('abcdefgh', 5, 'middle'), 'ab…gh')
    assert.equal(cut('abc', 3, 'end'), 'abc')
  })
})
