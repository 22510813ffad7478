// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { HostTable } from './host-table.js'

const words = (last: number) => new Uint32Array([0, 0, 0xffff, last])

/** An address's traffic, taken ten times a second from 100 ms on. */
function traffic(table: HostTable, address: number, pps: number, fromMs: number, toMs: number): void {
  for (let now = fromMs + 100; now <= toMs; now += 100) {
    table.add(table.entry(words(address), 0, 1), 0, pps / 10, pps * 10)
    table.takeLargest()
    table.take(100, now, 100)
  }
}

describe('what is usual for the entry that got most', () => {
  it('is nothing for one that was not there', () => {
    const table = new HostTable()
    traffic(table, 1, 50_000, 0, 10_000)
    table.add(table.entry(words(2), 0, 1), 0, 5000, 5000)
    assert.equal(table.largestUsualPps(10_100), 0)
  })

  it('is its average, however often it is taken', () => {
    const table = new HostTable()
    traffic(table, 1, 50_000, 0, 20_000)
    const usual = table.largestUsualPps(20_000)
    assert.ok(Math.abs(usual - 50_000) < 500, `${usual}`)
    for (let now = 20_010; now <= 21_000; now += 10) {
      table.add(table.entry(words(1), 0, 1), 0, 500, 500)
      table.take(100, now, 10)
    }
    assert.ok(Math.abs(table.largestUsualPps(21_000) - 50_000) < 500)
  })

  it('fades while it does not move', () => {
    const table = new HostTable()
    traffic(table, 1, 50_000, 0, 20_000)
    const [soon, later, gone] = [500, 1500, 2500].map((ms) => table.largestUsualPps(20_000 + ms))
    assert.ok(soon !== undefined && later !== undefined && soon > later && later > 0)
    assert.equal(gone, 0)
  })

  it('goes with its entry when the table grows, and is forgotten when it is emptied', () => {
    const table = new HostTable()
    traffic(table, 1, 50_000, 0, 20_000)
    for (let address = 2; address < 5000; address++) table.entry(words(address), 0, 1)
    assert.ok(table.largestUsualPps(20_000) > 49_000)
    table.reset()
    assert.equal(table.largestUsualPps(20_000), 0)
  })
})
