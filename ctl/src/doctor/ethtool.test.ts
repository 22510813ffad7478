// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseDriver, parseFeatures, parseIndirection, parseSettings, parseStatistics } from './ethtool.js'
import * as physical from './recorded/physical.js'
import * as veth from './recorded/veth.js'
import * as virtio from './recorded/virtio-net.js'

describe('reading ethtool', () => {
  it('-k: on, off, and what the driver does not let change', () => {
    const features = parseFeatures(virtio.FEATURES)
    assert.deepEqual(features.get('rx-gro-hw'), { on: true, fixed: true })
    assert.deepEqual(features.get('generic-receive-offload'), { on: true, fixed: false })
    assert.deepEqual(features.get('tx-checksum-ip-generic'), { on: true, fixed: false })
    assert.deepEqual(features.get('large-receive-offload'), { on: false, fixed: true })
    assert.deepEqual(parseFeatures(physical.FEATURES).get('rx-gro-hw'), { on: false, fixed: false })
    assert.ok(!features.has('Features for eth0'))
  })

  it('-g: the two blocks apart, and n/a as absent', () => {
    const { maximum, current } = parseSettings(physical.RINGS)
    assert.deepEqual([maximum.get('rx'), current.get('rx')], [4096, 256])
    assert.equal(maximum.get('rx jumbo'), 0)
    assert.equal(parseSettings(virtio.RINGS).maximum.has('rx jumbo'), false)
    assert.equal(parseSettings(virtio.RINGS).current.get('rx'), 256)
  })

  it('-l: combined or separate queues', () => {
    assert.deepEqual([...parseSettings(virtio.CHANNELS).current], [['combined', 1]])
    assert.deepEqual(
      [...parseSettings(veth.CHANNELS).maximum],
      [
        ['rx', 2],
        ['tx', 2],
      ],
    )
    assert.equal(parseSettings(physical.CHANNELS).maximum.get('combined'), 64)
  })

  it('-S: names with colons and queues too', () => {
    assert.equal(parseStatistics(virtio.STATISTICS).get('rx_drops'), 0)
    const statistics = parseStatistics(physical.STATISTICS)
    assert.equal(statistics.get('[0]: rx_discards'), 2)
    assert.equal(statistics.get('rx_out_of_buffer'), 17)
  })

  it('-x: the queues in use, and none where the driver has no table', () => {
    assert.deepEqual([...parseIndirection(physical.INDIRECTION)], [0, 1, 2, 3])
    assert.equal(parseIndirection(virtio.INDIRECTION).size, 0)
  })

  it('-i: the driver', () => {
    assert.equal(parseDriver(veth.DRIVER), 'veth')
    assert.equal(parseDriver('driver: 802.1Q VLAN Support\nversion: 1.8\n'), '802.1Q VLAN Support')
    assert.equal(parseDriver('Cannot get driver information'), undefined)
  })

  it('never fails, whatever is printed', () => {
    const parsers = [parseDriver, parseFeatures, parseIndirection, parseSettings, parseStatistics]
    const mangled = fc
      .tuple(
        fc.constantFrom(virtio.FEATURES, physical.RINGS, physical.STATISTICS, physical.INDIRECTION),
        fc.nat(),
      )
      .map(([text, at]) => text.slice(at % text.length))
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), mangled), (text) => {
        for (const parse of parsers) parse(text)
      }),
    )
  })
})
