// SPDX-License-Identifier: Apache-2.0

/** The 40-byte host delta entry of HostDeltas.entries; flowdam/v1/ingest.proto states the layout. */
export const DELTA_SIZE = 40

/** Byte offsets of the fields. */
export const DeltaOffset = {
  addr: 0,
  direction: 16,
  class: 17,
  marks: 18,
  vector: 19,
  flows: 20,
  packets: 24,
  bytes: 32,
} as const

export const DeltaDirection = { incoming: 0, outgoing: 1 } as const

/** Exclusive classes: the sum over an address's entries is its total. */
export const DeltaClass = { other: 0, tcp: 1, tcpSyn: 2, udp: 3, icmp: 4, tcpOther: 5 } as const
export const DELTA_CLASSES = 6

export interface HostDelta {
  addr: Uint8Array
  direction: number
  class: number
  marks: number
  vector: number
  flows: number
  packets: number
  bytes: number
}

/** Writes one entry. Cold paths only. */
export function encodeDelta(delta: HostDelta, buffer: Uint8Array, offset = 0): void {
  const view = new DataView(buffer.buffer, buffer.byteOffset + offset, DELTA_SIZE)
  buffer.set(delta.addr, offset + DeltaOffset.addr)
  view.setUint8(DeltaOffset.direction, delta.direction)
  view.setUint8(DeltaOffset.class, delta.class)
  view.setUint8(DeltaOffset.marks, delta.marks)
  view.setUint8(DeltaOffset.vector, delta.vector)
  view.setUint32(DeltaOffset.flows, delta.flows, true)
  for (const [at, value] of [
    [DeltaOffset.packets, delta.packets],
    [DeltaOffset.bytes, delta.bytes],
  ] as const) {
    view.setUint32(at, value % 2 ** 32, true)
    view.setUint32(at + 4, Math.floor(value / 2 ** 32), true)
  }
}

/** One entry as an object. Cold paths only. */
export function decodeDelta(buffer: Uint8Array, offset = 0): HostDelta {
  const view = new DataView(buffer.buffer, buffer.byteOffset + offset, DELTA_SIZE)
  const u64 = (at: number) => view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
  return {
    addr: buffer.slice(offset, offset + 16),
    direction: view.getUint8(DeltaOffset.direction),
    class: view.getUint8(DeltaOffset.class),
    marks: view.getUint8(DeltaOffset.marks),
    vector: view.getUint8(DeltaOffset.vector),
    flows: view.getUint32(DeltaOffset.flows, true),
    packets: u64(DeltaOffset.packets),
    bytes: u64(DeltaOffset.bytes),
  }
}
