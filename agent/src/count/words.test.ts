// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { readCounter, readSettled } from './words.js'

/** Writes 64-bit values whose halves are equal: anything else that is read was torn. */
const WRITER = `
const { workerData } = require('node:worker_threads')
const counter = new BigUint64Array(workerData, 0, 1)
const stop = new Int32Array(workerData, 8, 1)
const values = Array.from({ length: 1024 }, (_, i) => BigInt(i) << 32n | BigInt(i))
for (let i = 0; Atomics.load(stop, 0) === 0; i = (i + 1) & 1023) counter[0] = values[i]
`

describe('a counter that is being written', () => {
  it('is never read torn, where two plain reads are', async () => {
    const memory = new SharedArrayBuffer(16)
    const worker = new Worker(WRITER, { eval: true, workerData: memory })
    await once(worker, 'online')
    const words = new Uint32Array(memory)
    const torn = { plain: 0, ours: 0 }
    // Until the race has shown itself, however fast the machine.
    for (let reads = 0; reads < 2_000_000 || (torn.plain === 0 && reads < 400_000_000); reads++) {
      const value = readCounter(words, 0)
      if (value % 2 ** 32 !== Math.floor(value / 2 ** 32)) torn.ours++
      const plain = readSettled(words, 0)
      if (plain % 2 ** 32 !== Math.floor(plain / 2 ** 32)) torn.plain++
    }
    Atomics.store(words, 2, 1)
    await worker.terminate()
    assert.equal(torn.ours, 0)
    assert.ok(torn.plain > 0, 'the race never happened: this test showed nothing')
  })

  it('reads both halves', () => {
    const words = new Uint32Array(new BigUint64Array([0n, 0x12_3456_789an]).buffer)
    assert.equal(readCounter(words, 2), 0x12_3456_789a)
    assert.equal(readSettled(words, 2), 0x12_3456_789a)
  })
})
