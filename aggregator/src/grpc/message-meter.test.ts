// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { MessageMeter } from './message-meter.js'

function framed(length: number, flag = 0): Buffer {
  const bytes = Buffer.alloc(5 + length)
  bytes[0] = flag
  bytes.writeUInt32BE(length, 1)
  return bytes
}

describe('message meter', () => {
  it('follows messages of any size through chunks of any size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(300), { minLength: 1, maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (lengths, cuts) => {
          const bytes = Buffer.concat(lengths.map((length) => framed(length)))
          const meter = new MessageMeter()
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const end = Math.min(bytes.length, at + (cuts[i % cuts.length] as number))
            meter.feed(bytes.subarray(at, end))
            at = end
            assert.ok(meter.unfinished <= meter.largest)
          }
          assert.deepEqual(
            [meter.first, meter.largest, meter.unfinished, meter.compressed],
            [lengths[0], Math.max(...lengths), 0, false],
          )
        },
      ),
    )
  })

  it('says how much of a message has come, what it claims to be, and that it is compressed', () => {
    const meter = new MessageMeter()
    meter.feed(framed(7))
    meter.feed(framed(1000, 1).subarray(0, 105))
    assert.deepEqual([meter.first, meter.largest, meter.unfinished, meter.compressed], [7, 1000, 100, true])
    meter.stop()
    meter.feed(Buffer.alloc(500))
    assert.equal(meter.unfinished, 0)
  })
})
