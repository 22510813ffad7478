// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { paceOf } from './told.js'

const FILE = { detect_interval: 100, export_interval: 5000, export_rate: 50_000 }
const told = (detectIntervalMs: number, exportIntervalMs: number, exportRate: number) => ({
  networks: [],
  exemptRemote: [],
  pace: { detectIntervalMs, exportIntervalMs, exportRate },
})

describe('how often an agent reports', () => {
  it('is what the aggregator says, where it says something, else what the file says', () => {
    assert.deepEqual(paceOf(FILE, undefined), FILE)
    assert.deepEqual(paceOf(FILE, { ...told(0, 0, 0), pace: undefined }), FILE)
    assert.deepEqual(paceOf(FILE, told(0, 300, 0)), { ...FILE, export_interval: 300 })
  })

  it('stays within what the file may say, whatever the aggregator says', () => {
    const any = fc.nat(2 ** 32 - 1)
    fc.assert(
      fc.property(any, any, any, (detect, exporting, rate) => {
        const pace = paceOf(FILE, told(detect, exporting, rate))
        assert.ok(pace.detect_interval >= 10 && pace.detect_interval <= 10_000)
        assert.ok(pace.export_interval >= 100 && pace.export_interval <= 60_000)
        assert.ok(pace.export_rate >= 100)
      }),
    )
  })
})
