// SPDX-License-Identifier: Apache-2.0
//
// Messages that nobody should send: protobuf that is none, protobuf that says nonsense, and all in the wrong order.
import {
  Boundary,
  DELTA_SIZE,
  type Hello,
  PROTOCOL_VERSION,
  RECORD_SIZE,
  StreamRequest,
} from '@flowdam/proto'

type Message = NonNullable<StreamRequest['message']>

/** The greatest that the codec gives as a number; above it decoding throws. */
const MOST = Number.MAX_SAFE_INTEGER
const U32 = 0xffffffff
const POOL = 5000
/** What a gRPC server here takes at most. */
export const MAX_MESSAGE_BYTES = 8 << 20

/** Marsaglia's xorshift32: fast, and the same for the same seed. */
export function random(seed: number): (below: number) => number {
  let state = seed || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** A message as gRPC frames it. */
export function frame(message: Uint8Array, announced = message.length, compressed = 0): Buffer {
  const out = Buffer.allocUnsafe(5 + message.length)
  out[0] = compressed
  out.writeUInt32BE(announced, 1)
  out.set(message, 5)
  return out
}

export function encode(message: Message): Buffer {
  return Buffer.from(StreamRequest.encode({ message }).finish())
}

export function hello(agentId: string, other: Partial<Hello> = {}): Buffer {
  return encode({
    $case: 'hello',
    value: {
      protocolVersion: PROTOCOL_VERSION,
      agentId,
      bootId: 7,
      version: 'fuzz',
      hostname: 'fuzz',
      kernel: 'fuzz',
      recordSize: RECORD_SIZE,
      interfaces: { interfaces: [nic(0)] },
      nowUnixMs: Date.now(),
      oldestSeq: 0,
      ackedSeq: 0,
      runId: 1,
      ...other,
    },
  })
}

function nic(index: number, name = `eth${index}`) {
  const boundary = Boundary.BOUNDARY_EXTERNAL
  return { index, name, ifindex: 2, boundary, attachMode: 'native', speedBps: 0 }
}

export class Hostile {
  readonly #next: (below: number) => number
  readonly #pool: Buffer[] = []
  #seq = 0

  constructor(next: (below: number) => number) {
    this.#next = next
  }

  /** What a stream begins with: mostly a Hello that is taken. */
  opening(agentId: string): Buffer[] {
    const next = this.#next
    switch (next(24)) {
      case 0:
        return []
      case 1:
        return [frame(hello(agentId, { protocolVersion: next(3) * 2 }))]
      case 2:
        return [frame(hello(agentId, { recordSize: next(128) }))]
      case 3:
        return [frame(hello(['', 'a'.repeat(65), '../../etc', 'a b', '\0', '💥'][next(6)] as string))]
      case 4:
        return [frame(hello(agentId, { bootId: 0 }))]
      case 5:
        return [frame(hello(agentId, { hostname: 'h'.repeat(257 + next(1000)) }))]
      case 6:
        return [frame(hello(agentId)), frame(hello(agentId))]
      case 7:
        return [
          frame(
            hello(agentId, { interfaces: { interfaces: [nic(next(2) * 200), nic(5), nic(5 + next(2))] } }),
          ),
        ]
      case 8:
        return [frame(this.#scratched(hello(agentId)))]
      case 9:
        return next(20) === 0
          ? [frame(hello(agentId, { hostname: 'h'.repeat(70_000 + next(100_000)) }))]
          : [frame(hello(agentId, { kernel: '' }))]
      default:
        return [
          frame(hello(agentId, { bootId: this.#number() || 1, ackedSeq: this.#number(), runId: next(3) })),
        ]
    }
  }

  /** One message. Most have been sent before, in another order: making one costs more than reading it. */
  message(): Buffer {
    const next = this.#next
    const slot = next(POOL)
    const known = this.#pool[slot]
    if (known && next(10) > 0) return known
    const made = this.#make()
    if (made.length < 4096) this.#pool[slot] = made
    return made
  }

  /** Most leave the stream alive, so that the next is looked at as well. */
  #make(): Buffer {
    const next = this.#next
    const kind = next(400)
    if (kind < 6) return frame(this.#scratched(encode(this.#nonsense())))
    if (kind < 8) return frame(this.#nothing())
    if (kind < 10) return frame(encode(this.#forbidden()))
    if (kind === 20 && next(40) === 0) return this.#giant()
    if (kind === 21 && next(10) === 0) return frame(encode(this.#nonsense()), undefined, 1)
    if (kind < 40) return frame(this.#stranger())
    return frame(encode(this.#nonsense()))
  }

  /** 64-bit numbers where things break. */
  #number(): number {
    const next = this.#next
    const kinds = [0, 1, U32, U32 + 1, MOST, MOST - next(1000), next(1 << 30), Date.now()]
    return kinds[next(kinds.length)] as number
  }

  #bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE(this.#next(U32), at)
    return bytes
  }

  /** Well formed, and no sane agent's. */
  #nonsense(): Message {
    const next = this.#next
    switch (next(8)) {
      case 0:
      case 1:
      case 2:
        return { $case: 'hostDeltas', value: this.#deltas(next(6)) }
      case 3:
      case 4:
      case 5:
        return { $case: 'flowBatch', value: this.#batch(next(6)) }
      case 6:
        return { $case: 'heartbeat', value: this.#heartbeat() }
      default:
        return { $case: 'interfaces', value: this.#interfaces() }
    }
  }

  #deltas(entries: number) {
    const totals = () => ({ packets: this.#number(), bytes: this.#number(), flows: this.#number() })
    const bytes = this.#bytes(entries * DELTA_SIZE)
    // Half of them about addresses that the detector protects.
    for (let at = 0; at < bytes.length; at += DELTA_SIZE) {
      if (this.#next(2) === 0) bytes.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 203, 0, 113], at)
    }
    return {
      seq: this.#next(3) === 0 ? this.#number() : ++this.#seq,
      coversUs: this.#next(3) === 0 ? this.#number() : 100_000,
      nowUnixMs: this.#number(),
      entries: bytes,
      incoming: this.#next(4) === 0 ? totals() : undefined,
      outgoing: this.#next(4) === 0 ? totals() : undefined,
    }
  }

  #batch(records: number) {
    const ledger = () => ({
      iface: this.#next(2) === 0 ? this.#next(256) : U32,
      seenPackets: this.#number(),
      seenBytes: this.#number(),
      flowPackets: this.#number(),
      flowBytes: this.#number(),
      overflowPackets: this.#number(),
      overflowBytes: this.#number(),
      notIpPackets: this.#number(),
      notIpBytes: this.#number(),
      malformedPackets: this.#number(),
      malformedBytes: this.#number(),
      droppedPackets: this.#number(),
      droppedBytes: this.#number(),
    })
    return {
      bootId: this.#next(3) === 0 ? this.#number() || 1 : 7,
      seq: this.#next(3) === 0 ? this.#number() || 1 : ++this.#seq,
      epochStartUnixMs: this.#number(),
      epochMs: [0, 5000, U32][this.#next(3)] as number,
      records: this.#bytes(records * RECORD_SIZE),
      ledgers: Array.from({ length: this.#next(20) === 0 ? 256 : this.#next(2) }, ledger),
      lost: records === 0 && this.#next(2) === 0 ? this.#loss() : undefined,
    }
  }

  #loss() {
    const reason = ['spool_full', '__proto__', '', `r${this.#next(1e6)}`][this.#next(4)] as string
    return { records: this.#number(), packets: this.#number(), bytes: this.#number(), reason }
  }

  #heartbeat() {
    const droppedRecords: Record<string, number> = {}
    for (let count = this.#next(50) === 0 ? 500 : this.#next(3); count > 0; count--) {
      const reasons = ['constructor', 'queue_full', 'spool_full', 'other', `r${this.#next(1e6)}`]
      const reason = reasons[this.#next(40) === 0 ? 4 : this.#next(4)] as string
      droppedRecords[reason] = this.#number()
    }
    return {
      nowUnixMs: this.#number(),
      queuedBatches: this.#number(),
      queuedRecords: this.#number(),
      droppedRecords,
      droppedPackets: droppedRecords,
      droppedBytes: {},
      lawViolations: this.#number(),
      cpuUs: this.#number(),
      rssBytes: this.#number(),
      queuedBytes: this.#number(),
      spoolBytes: this.#number(),
      spoolMaxBytes: this.#number(),
      oldestAgeMs: this.#number(),
      spoolErrors: this.#number(),
      maybeDoubledRecords: this.#number(),
      clockSteps: this.#number(),
      queueMaxBytes: this.#number(),
      dropRules: this.#next(2) === 0,
      dropped: Array.from({ length: this.#next(50) === 0 ? 300 : this.#next(2) }, () => ({
        prefix: ['', '203.0.113.9/32', '\0', '::/0'][this.#next(4)] as string,
        packets: this.#number(),
        bytes: this.#number(),
      })),
    }
  }

  #interfaces() {
    const names = ['eth0', 'a"b', '\n', '💥', 'x'.repeat(64), `if${this.#next(500)}`]
    const count = this.#next(30) === 0 ? 128 : this.#next(4)
    return {
      interfaces: Array.from({ length: count }, (_, index) => nic(index, names[this.#next(6)] as string)),
    }
  }

  /** Well formed, and against the contract. */
  #forbidden(): Message {
    const next = this.#next
    switch (next(7)) {
      case 0:
        return { $case: 'flowBatch', value: { ...this.#batch(1), seq: 0 } }
      case 1:
        return { $case: 'flowBatch', value: { ...this.#batch(1), bootId: 0 } }
      case 2:
        return { $case: 'flowBatch', value: { ...this.#batch(1), records: this.#bytes(1 + next(63)) } }
      case 3:
        return { $case: 'hostDeltas', value: { ...this.#deltas(1), entries: this.#bytes(1 + next(39)) } }
      case 4:
        return { $case: 'interfaces', value: { interfaces: [nic(1, ''), nic(2)] } }
      case 5:
        return { $case: 'interfaces', value: { interfaces: [nic(1), nic(1)] } }
      default:
        return StreamRequest.decode(hello('edge1')).message as Message
    }
  }

  /** Fields of a contract to come, none at all, several at once: proto3 says to take it. */
  #stranger(): Buffer {
    switch (this.#next(4)) {
      case 0:
        return Buffer.alloc(0)
      case 1:
        return Buffer.concat([Buffer.from([0x9a, 0x06, 4]), this.#bytes(4)])
      case 2:
        return Buffer.from([0x98, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
      default:
        return Buffer.concat([encode(this.#nonsense()), encode(this.#nonsense())])
    }
  }

  /** Not protobuf. */
  #nothing(): Buffer {
    switch (this.#next(4)) {
      case 0:
        return this.#bytes(4 * (1 + this.#next(30)))
      case 1:
        // Groups in groups, for a decoder that recurses.
        return Buffer.alloc(this.#next(20) === 0 ? 200_000 : 100, 0x9b)
      case 2:
        return Buffer.alloc(1 + this.#next(20), 0xff)
      default: {
        const bytes = encode(this.#nonsense())
        return bytes.subarray(0, this.#next(bytes.length))
      }
    }
  }

  #scratched(bytes: Buffer): Buffer {
    for (let flips = 1 + this.#next(4); flips > 0 && bytes.length > 0; flips--) {
      bytes[this.#next(bytes.length)] = this.#next(256)
    }
    return bytes
  }

  /** At the limits, and above. */
  #giant(): Buffer {
    const most = 16_384 * RECORD_SIZE
    switch (this.#next(5)) {
      case 0:
        return frame(
          encode({ $case: 'flowBatch', value: { ...this.#batch(0), records: Buffer.alloc(most, 1) } }),
        )
      case 1:
        return frame(
          encode({
            $case: 'flowBatch',
            value: { ...this.#batch(0), records: Buffer.alloc(most + RECORD_SIZE, 1) },
          }),
        )
      case 2:
        return frame(
          encode({
            $case: 'hostDeltas',
            value: { ...this.#deltas(0), entries: Buffer.alloc(209_000 * 40, 1) },
          }),
        )
      case 3:
        return frame(Buffer.alloc(MAX_MESSAGE_BYTES, 0x9b))
      default:
        return frame(Buffer.alloc(1000), [U32, MAX_MESSAGE_BYTES + 1, 64 << 20][this.#next(3)] as number)
    }
  }
}
