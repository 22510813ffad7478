// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { attack, NOW } from '../testing/answers.js'
import { renderAttack } from './attack.js'

const lines = (width: number, colour = false) =>
  renderAttack(attack, NOW, { width, colour, isTty: true }).split('\n')

describe('an attack in full', () => {
  it('fits 110 columns, with the tables side by side', () => {
    const shown = lines(110)
    assert.deepEqual(
      shown.filter((line) => line.length > 110),
      [],
    )
    assert.ok(shown.some((line) => /^SOURCE +PACKETS +SHARE +BYTES +SOURCE NETWORK/.test(line)))
    assert.ok(shown.some((line) => /^Level +blackhole$/.test(line)))
    // Colours take no columns.
    const plain = lines(110, true).map((line) => stripVTControlCharacters(line))
    assert.deepEqual(plain, shown)
  })

  it('stacks the tables in a narrow terminal, and shows all of them', () => {
    const shown = lines(80)
    for (const title of ['SOURCE ', 'SOURCE NETWORK', 'SOURCE PORT', 'DESTINATION PORT']) {
      assert.ok(
        shown.some((line) => line.startsWith(title)),
        title,
      )
    }
  })

  it('without flows says so', () => {
    const text = renderAttack({ ...attack, detail: undefined }, NOW, {
      width: 110,
      colour: false,
      isTty: true,
    })
    assert.match(text, /No flows of it came yet/)
  })
})
