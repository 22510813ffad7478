// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { requireEmbedded } from './installed.js'

describe('the embedded database', () => {
  it('is there with its library', () => requireEmbedded())

  it('is missing where npm found no library for the machine, and says which', () => {
    assert.throws(() => requireEmbedded('@chdb/lib-linux-pdp11-gnu'), {
      code: 'FD_STORE_NOT_INSTALLED',
      message: /lacks its library for this machine, @chdb\/lib-linux-pdp11-gnu/,
    })
  })
})
