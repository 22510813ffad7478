// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from '@flowdam/common'
import { ControlOffset, IFACE_BUCKETS, IFACE_ENTRY_SIZE, IFACE_PROBES } from './layout.js'

const FIRST_WORD = ControlOffset.ifaces / 4
const ENTRY_WORDS = IFACE_ENTRY_SIZE / 4

/**
 * The programs' table of interfaces in `control`: ifindex → our index and flags, open addressing. Entries of
 * interfaces that are gone stay until their place is needed: their ifindex comes from nowhere any more, and clearing
 * one could hide another behind it from a program that is just probing.
 */
export class IfaceTable {
  readonly #control: Uint32Array
  readonly #live = new Set<number>()

  constructor(control: Uint32Array) {
    this.#control = control
  }

  /** FD_INTERFACE_TABLE when eight live neighbours leave no place. */
  set(ifindex: number, iface: number, flags: number): void {
    const at = this.#place(ifindex)
    const word = FIRST_WORD + at * ENTRY_WORDS
    // The ifindex last: a program that sees it sees the rest.
    Atomics.store(this.#control, word + 1, iface | (flags << 8))
    Atomics.store(this.#control, word, ifindex)
    this.#live.add(ifindex)
  }

  remove(ifindex: number): void {
    this.#live.delete(ifindex)
  }

  #place(ifindex: number): number {
    let free = -1
    for (let probe = 0; probe < IFACE_PROBES; probe++) {
      const bucket = (ifindex + probe) & (IFACE_BUCKETS - 1)
      const there = this.#control[FIRST_WORD + bucket * ENTRY_WORDS] ?? 0
      if (there === ifindex) return bucket
      if (free < 0 && (there === 0 || !this.#live.has(there))) free = bucket
    }
    if (free >= 0) return free
    throw new FlowdamError('FD_INTERFACE_TABLE', `no place for ifindex ${ifindex} in the programs' table`, {
      remedy: 'name fewer interfaces with neighbouring ifindexes',
    })
  }
}
