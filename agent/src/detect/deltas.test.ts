// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatAddress, PrefixSet, parsePrefix } from '@flowdam/common'
import { DELTA_SIZE, decodeDelta, type HostDeltas } from '@flowdam/proto'
import fc from 'fast-check'
import { FakeKernel, type FakePacket } from '../testing/fake-kernel.js'
import { anyPacket, OUR_NETWORKS, packet } from '../testing/packets.js'
import { Deltas } from './deltas.js'

const EXTERNAL = new Uint8Array(256).fill(1)
EXTERNAL[1] = 0
EXTERNAL[0x81] = 0
const ours = new PrefixSet(OUR_NETWORKS.map((text) => parsePrefix(text)))

interface Sum {
  packets: number
  bytes: number
}

/** Sums by address and direction, and totals, counted packet by packet. */
class Model {
  readonly hosts = new Map<string, Sum>()
  /** What overflow keeps too: the destination on ingress, the source on egress. */
  readonly kept = new Map<string, Sum>()
  readonly totals = { incoming: { packets: 0, bytes: 0 }, outgoing: { packets: 0, bytes: 0 } }

  count({ srcAddr, dstAddr, iface, bytes }: FakePacket, egress: boolean): void {
    if (iface !== 0) return
    const toUs = ours.has(dstAddr)
    const fromUs = ours.has(srcAddr)
    const outgoing = toUs === fromUs ? egress : fromUs
    if (toUs && !outgoing) add(this.hosts, `${formatAddress(dstAddr)} 0`, 1, bytes)
    if (fromUs && outgoing) add(this.hosts, `${formatAddress(srcAddr)} 1`, 1, bytes)
    if (egress ? fromUs : toUs) {
      add(this.kept, egress ? `${formatAddress(srcAddr)} 1` : `${formatAddress(dstAddr)} 0`, 1, bytes)
    }
    const total = this.totals[outgoing ? 'outgoing' : 'incoming']
    total.packets++
    total.bytes += bytes
  }
}

function add(sums: Map<string, Sum>, key: string, packets: number, bytes: number): void {
  const sum = sums.get(key) ?? { packets: 0, bytes: 0 }
  sums.set(key, { packets: sum.packets + packets, bytes: sum.bytes + bytes })
}

class Receiver {
  readonly hosts = new Map<string, Sum>()
  readonly totals = { incoming: { packets: 0, bytes: 0 }, outgoing: { packets: 0, bytes: 0 } }
  readonly classes = new Map<string, number>()
  flows = 0
  hostFlows = 0

  take(messages: HostDeltas[]): void {
    for (const message of messages) {
      for (const direction of ['incoming', 'outgoing'] as const) {
        this.totals[direction].packets += message[direction]?.packets ?? 0
        this.totals[direction].bytes += message[direction]?.bytes ?? 0
        this.flows += message[direction]?.flows ?? 0
      }
      for (let at = 0; at < message.entries.length; at += DELTA_SIZE) {
        const delta = decodeDelta(message.entries, at)
        this.hostFlows += delta.flows
        add(this.hosts, `${formatAddress(delta.addr)} ${delta.direction}`, delta.packets, delta.bytes)
        const kind = `class ${delta.class} marks ${delta.marks} vector ${delta.vector}`
        this.classes.set(kind, (this.classes.get(kind) ?? 0) + delta.packets)
      }
    }
  }
}

function deltasOf(kernel: FakeKernel, networks = OUR_NETWORKS): Deltas {
  return new Deltas({ maps: kernel.maps, external: EXTERNAL, networks })
}

describe('host deltas', () => {
  it('sum up to the packets counted, whatever is read, taken and flipped when', async () => {
    const step = fc.oneof(
      { weight: 12, arbitrary: fc.record({ packet: anyPacket, part: fc.integer({ min: 0, max: 5 }) }) },
      { weight: 2, arbitrary: fc.constant('read' as const) },
      { weight: 1, arbitrary: fc.constant('take' as const) },
      { weight: 1, arbitrary: fc.constant('flip' as const) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 400 }), fc.constantFrom(4, 64), async (steps, slots) => {
        // With 4 slots a part most packets go to overflow.
        const kernel = new FakeKernel(2, slots)
        const deltas = deltasOf(kernel)
        const model = new Model()
        const receiver = new Receiver()
        for (const step of steps) {
          if (step === 'read') await deltas.read()
          else if (step === 'take') receiver.take(deltas.take())
          else if (step === 'flip') await flip(kernel, deltas)
          else {
            const egress = (step.part & 1) === 1
            const counted = { ...step.packet, iface: step.packet.iface | (egress ? 0x80 : 0) }
            kernel.count(step.part, counted)
            // "Other" of a stray CPU knows no address: only totals stay exact.
            if (step.part >= 4) {
              const nobody = { ...step.packet, srcAddr: new Uint8Array(16), dstAddr: new Uint8Array(16) }
              model.count(nobody, egress)
            } else model.count(step.packet, egress)
          }
        }
        await flip(kernel, deltas)
        receiver.take(deltas.take())
        assert.deepEqual(
          receiver.totals.incoming.packets + receiver.totals.outgoing.packets,
          model.totals.incoming.packets + model.totals.outgoing.packets,
        )
        assert.deepEqual(
          receiver.totals.incoming.bytes + receiver.totals.outgoing.bytes,
          model.totals.incoming.bytes + model.totals.outgoing.bytes,
        )
        if (!kernel.overflowEver) assert.deepEqual(receiver.hosts, model.hosts)
        for (const [key, sum] of receiver.hosts) {
          assert.ok(sum.packets <= (model.hosts.get(key)?.packets ?? 0), `${key}: more than there was`)
        }
        for (const [key, sum] of model.kept) {
          assert.ok((receiver.hosts.get(key)?.packets ?? 0) >= sum.packets, `${key}: packets lost`)
          assert.ok((receiver.hosts.get(key)?.bytes ?? 0) >= sum.bytes, `${key}: bytes lost`)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('a flood with our own addresses as forged sources counts for its victim, and for nobody as sender', async () => {
    const kernel = new FakeKernel(1, 64)
    const deltas = deltasOf(kernel)
    const victim = packet().dstAddr
    const forged = Uint8Array.from(victim)
    forged[15] = 77
    kernel.count(0, packet({ srcAddr: forged }))
    await deltas.read()
    const receiver = new Receiver()
    receiver.take(deltas.take())
    assert.deepEqual([...receiver.hosts.keys()], [`${formatAddress(victim)} 0`])
    assert.equal(receiver.totals.incoming.packets, 1)
    // On its way out the same packet is the sender's.
    kernel.count(1, packet({ srcAddr: forged, iface: 0x80 }))
    await deltas.read()
    const sent = new Receiver()
    sent.take(deltas.take())
    assert.deepEqual([...sent.hosts.keys()], [`${formatAddress(forged)} 1`])
  })

  it('keep classes, marks and vectors apart', async () => {
    const kernel = new FakeKernel(1, 64)
    const deltas = deltasOf(kernel)
    kernel.count(0, packet({ tcpFlags: 2 }))
    kernel.count(0, packet({ protocol: 17, srcPort: 53 }))
    kernel.count(0, packet({ protocol: 17, srcPort: 9, marks: 1 }))
    kernel.count(0, packet({ protocol: 1 }))
    kernel.count(0, packet({ protocol: 6, srcPort: 7, tcpFlags: 4, marks: 2 }))
    await deltas.read()
    // The same flow goes on with ACK: what comes now is of another class.
    kernel.count(0, packet({ tcpFlags: 16 }))
    await deltas.read()
    const receiver = new Receiver()
    receiver.take(deltas.take())
    assert.deepEqual([...receiver.classes].sort(), [
      ['class 1 marks 0 vector 0', 1],
      ['class 2 marks 0 vector 0', 1],
      ['class 3 marks 0 vector 1', 1],
      ['class 3 marks 1 vector 0', 1],
      ['class 4 marks 0 vector 0', 1],
      ['class 5 marks 2 vector 0', 1],
    ])
  })

  it('count a flow that goes on in the next epochs, or on another CPU, once', async () => {
    const kernel = new FakeKernel(2, 64)
    const deltas = deltasOf(kernel)
    const receiver = new Receiver()
    for (let epoch = 0; epoch < 4; epoch++) {
      kernel.count(0, packet())
      kernel.count(2, packet())
      await deltas.read()
      await flip(kernel, deltas)
      receiver.take(deltas.take())
    }
    assert.equal(receiver.flows, 1)
    assert.equal(receiver.totals.incoming.packets, 8)
  })

  it('tell no flow as new that an agent which has just begun cannot know: of those before it only a SYN is one', async () => {
    for (const [warmUpMs, told] of [
      [60_000, 1],
      [0, 21],
    ] as const) {
      const kernel = new FakeKernel(1, 64)
      const deltas = new Deltas({
        maps: kernel.maps,
        external: EXTERNAL,
        networks: OUR_NETWORKS,
        warmUpMs,
      })
      for (let port = 1; port <= 20; port++) kernel.count(0, { ...packet(), srcPort: 30_000 + port })
      kernel.count(0, { ...packet(), protocol: 6, tcpFlags: 0x02 })
      await deltas.read()
      const receiver = new Receiver()
      receiver.take(deltas.take())
      assert.equal(receiver.hostFlows, told)
      assert.equal(receiver.flows, 21, 'totals, which ban nobody, have all')
      assert.equal(receiver.totals.incoming.packets, 21)
    }
  })

  it('follow new networks and exempt remotes at once, for flows that are already there', async () => {
    const kernel = new FakeKernel(1, 64)
    const deltas = deltasOf(kernel, [])
    const hosts = async () => {
      kernel.count(0, packet())
      await deltas.read()
      const receiver = new Receiver()
      receiver.take(deltas.take())
      return [...receiver.hosts]
    }
    assert.deepEqual(await hosts(), [])
    deltas.setNetworks(OUR_NETWORKS, [])
    assert.deepEqual(await hosts(), [['203.0.113.10 0', { packets: 1, bytes: 100 }]])
    deltas.setNetworks(OUR_NETWORKS, ['198.51.100.0/24'])
    assert.deepEqual(await hosts(), [])
  })

  it('let others have the event loop while very many new flows are read', async () => {
    const kernel = new FakeKernel(1, 65_536)
    const deltas = deltasOf(kernel)
    for (let i = 0; i < 60_000; i++) kernel.count(i & 1, packet({ srcPort: i, dstPort: i >> 10 }))
    let turns = 0
    let reading = true
    const turn = () => {
      turns++
      if (reading) setImmediate(turn)
    }
    setImmediate(turn)
    const { packets } = await deltas.read()
    reading = false
    assert.equal(packets, 60_000)
    assert.ok(turns > 1, `${turns} turns`)
    // What was left to later slices counts in the same read, and only once.
    assert.equal((await deltas.read()).packets, 0)
  })

  it('come in several messages when they are many, time and totals in the first only', async () => {
    const kernel = new FakeKernel(1, 65_536)
    const deltas = deltasOf(kernel, ['0.0.0.0/0'])
    for (let i = 0; i < 30_000; i++) {
      kernel.count(
        0,
        packet({ dstAddr: Uint8Array.of(...new Array(10).fill(0), 255, 255, 10, 1, i >> 8, i & 255) }),
      )
    }
    await deltas.read()
    const messages = deltas.take()
    assert.equal(messages.length, 2)
    assert.deepEqual(
      messages.map(({ seq }) => seq),
      [1, 2],
    )
    assert.ok((messages[0]?.coversUs ?? 0) > 0)
    assert.equal(messages[1]?.coversUs, 0)
    assert.equal(messages[1]?.incoming, undefined)
    const receiver = new Receiver()
    receiver.take(messages)
    assert.equal(receiver.hosts.size, 30_000)
  })
})

async function flip(kernel: FakeKernel, deltas: Deltas): Promise<void> {
  const old = kernel.maps.parity
  kernel.maps.startEpoch(1 - old, { seconds: 1, nanoseconds: 0 })
  await deltas.finish(old, 5000)
  for (let part = 0; part < kernel.geometry.nrParts; part++) kernel.maps.clear(old, part)
  kernel.forget(old)
}
