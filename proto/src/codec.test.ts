// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { DELTA_SIZE, decodeDelta, encodeDelta } from './delta.js'
import { decodeRecord, encodeRecord, RECORD_SIZE } from './record.js'

const u8 = fc.nat(0xff)
const u16 = fc.nat(0xffff)
const u32 = fc.nat(0xffffffff)
const u53 = fc.maxSafeNat()
const addr = fc.uint8Array({ minLength: 16, maxLength: 16 })

describe('record codec', () => {
  it('reads back every field, at any offset, touching nothing else', () => {
    const record = fc.record(
      {
        srcAddr: addr,
        dstAddr: addr,
        srcPort: u16,
        dstPort: u16,
        protocol: u8,
        iface: u8,
        vlan: u16,
        bytes: u53,
        packets: u32,
        firstMs: u32,
        durationMs: u16,
        source: u16,
        tcpFlags: u8,
        dscp: u8,
        marks: u8,
        ttl: u8,
      },
      { noNullPrototype: true },
    )
    fc.assert(
      fc.property(record, fc.nat(100), (value, offset) => {
        const buffer = new Uint8Array(offset + RECORD_SIZE + 8).fill(0xa5)
        encodeRecord(value, buffer, offset)
        assert.deepEqual(decodeRecord(buffer, offset), value)
        assert.ok(buffer.subarray(0, offset).every((byte) => byte === 0xa5))
        assert.ok(buffer.subarray(offset + RECORD_SIZE).every((byte) => byte === 0xa5))
      }),
    )
  })

  it('lays a known record out as the contract says', () => {
    const buffer = new Uint8Array(RECORD_SIZE)
    encodeRecord(
      {
        srcAddr: new Uint8Array(16).fill(1),
        dstAddr: new Uint8Array(16).fill(2),
        srcPort: 0x0304,
        dstPort: 0x0506,
        protocol: 7,
        iface: 0x88,
        vlan: 0x090a,
        bytes: 0x0c0d0e0f1011,
        packets: 0x12131415,
        firstMs: 0x16171819,
        durationMs: 0x1a1b,
        source: 0x1c1d,
        tcpFlags: 0x1e,
        dscp: 0x1f,
        marks: 0x20,
        ttl: 0x21,
      },
      buffer,
    )
    const hex = Buffer.from(buffer).toString('hex')
    assert.equal(
      hex,
      `${'01'.repeat(16)}${'02'.repeat(16)}0403` +
        '0605' +
        '07' +
        '88' +
        '0a09' +
        '11100f0e0d0c0000' +
        '15141312' +
        '19181716' +
        '1b1a' +
        '1d1c' +
        '1e1f2021',
    )
  })
})

describe('delta codec', () => {
  it('reads back every field', () => {
    const delta = fc.record(
      {
        addr,
        direction: u8,
        class: u8,
        marks: u8,
        vector: u8,
        flows: u32,
        packets: u53,
        bytes: u53,
      },
      { noNullPrototype: true },
    )
    fc.assert(
      fc.property(delta, (value) => {
        const buffer = new Uint8Array(DELTA_SIZE)
        encodeDelta(value, buffer)
        assert.deepEqual(decodeDelta(buffer), value)
      }),
    )
  })
})
