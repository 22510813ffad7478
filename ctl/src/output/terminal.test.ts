// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { describeTerminal, paint } from './terminal.js'

const tty = { isTTY: true, columns: 100 }

describe('describeTerminal', () => {
  it('colours a terminal, unless NO_COLOR or a dumb terminal forbid it', () => {
    assert.equal(describeTerminal(tty, {}).colour, true)
    assert.equal(describeTerminal(tty, { NO_COLOR: '1' }).colour, false)
    assert.equal(describeTerminal(tty, { TERM: 'dumb' }).colour, false)
    // https://no-color.org: "when present and not an empty string".
    assert.equal(describeTerminal(tty, { NO_COLOR: '' }).colour, true)
  })

  it('gives a pipe whole lines and no colours', () => {
    assert.deepEqual(describeTerminal({}, {}), {
      width: Number.POSITIVE_INFINITY,
      isTty: false,
      colour: false,
    })
  })

  it("takes the terminal's own width before COLUMNS, and COLUMNS for a pipe", () => {
    assert.equal(describeTerminal(tty, { COLUMNS: '60' }).width, 100)
    assert.equal(describeTerminal({}, { COLUMNS: '60' }).width, 60)
    assert.equal(describeTerminal({ isTTY: true, columns: 0 }, { COLUMNS: 'x' }).width, 80)
  })

  it('paint is plain text where colours are not wanted', () => {
    assert.equal(paint(describeTerminal({}, {}), 'red', 'ban'), 'ban')
  })
})
