// SPDX-License-Identifier: Apache-2.0

/** Word offsets of a flow record, for loops over Uint32Array; proto/src/record.ts has the byte offsets. */
export const RecordWord = {
  src: 0,
  dst: 4,
  /** src_port | dst_port << 16 */
  ports: 8,
  /** protocol | iface << 8 | vlan << 16 */
  proto: 9,
  bytesLow: 10,
  bytesHigh: 11,
  packets: 12,
  /** tcp_flags | dscp << 8 | marks << 16 | ttl << 24 */
  facts: 15,
} as const
export const RECORD_WORDS = 16

const TWO_32 = 4_294_967_296

/**
 * Loads of one thread keep their order on x86; elsewhere only Atomics give it. A plain pair costs 1.2 ns here,
 * Atomics for the last word 9 ns, for all three 22 ns.
 */
const LOADS_ORDERED = process.arch === 'x64'

/**
 * A 64-bit counter that the kernel is adding to. Its halves can tear: high, low, high again. The last load is atomic
 * so that no compiler takes it for a repetition of the first.
 */
export function readCounter(words: Uint32Array, at: number): number {
  for (;;) {
    const high = LOADS_ORDERED ? (words[at + 1] as number) : Atomics.load(words, at + 1)
    const low = LOADS_ORDERED ? (words[at] as number) : Atomics.load(words, at)
    if (Atomics.load(words, at + 1) === high) return low + high * TWO_32
  }
}

/** The same for memory that nobody writes any more. */
export function readSettled(words: Uint32Array, at: number): number {
  return (words[at] as number) + (words[at + 1] as number) * TWO_32
}
