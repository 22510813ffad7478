// SPDX-License-Identifier: Apache-2.0

/** What the reader remembers of each slot of one block, as typed arrays that grow with the slots in use. */
export class SlotMemory {
  /** Slots known so far in this epoch. */
  known = 0
  /** Generation of the host table that `incoming` and `outgoing` point into. */
  generation = -1
  packets = new Uint32Array(0)
  bytes = new Float64Array(0)
  /** Entries of the destination (incoming) and the source (outgoing); NO_HOST or a number of the host table. */
  incoming = new Int32Array(0)
  outgoing = new Int32Array(0)
  /** tcp_flags | marks << 8 at the last look: when they change, the entries change. */
  facts = new Uint16Array(0)
  /** Role bits of the slot. */
  role = new Uint8Array(0)

  /** Room for `slots`; what was there is kept. */
  reserve(slots: number): void {
    if (slots <= this.packets.length) return
    let size = 1024
    while (size < slots) size *= 2
    this.packets = grown(new Uint32Array(size), this.packets)
    this.bytes = grown(new Float64Array(size), this.bytes)
    this.incoming = grown(new Int32Array(size), this.incoming)
    this.outgoing = grown(new Int32Array(size), this.outgoing)
    this.facts = grown(new Uint16Array(size), this.facts)
    this.role = grown(new Uint8Array(size), this.role)
  }

  /** Ready for the block's next epoch. Far too large arrays are given back. */
  reset(): void {
    if (this.packets.length > Math.max(4096, this.known * 4)) {
      this.packets = new Uint32Array(0)
      this.bytes = new Float64Array(0)
      this.incoming = new Int32Array(0)
      this.outgoing = new Int32Array(0)
      this.facts = new Uint16Array(0)
      this.role = new Uint8Array(0)
    }
    this.known = 0
  }
}

function grown<T extends Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array>(
  to: T,
  from: T,
): T {
  to.set(from)
  return to
}
