// SPDX-License-Identifier: Apache-2.0
import type { Ledger } from '@flowdam/proto'
import { LEDGER_FIELDS, LEDGER_SIZE, type LedgerField, MAX_IFACES } from '../kernel/layout.js'
import { readSettled } from './words.js'

const LEDGER_WORDS = LEDGER_SIZE / 4
const FIELDS = LEDGER_FIELDS.length
/** iface bytes: index, high bit for egress. */
export const IFACE_BYTES = 256

/** The epoch's ledgers of all parts added up by iface byte. */
export class LedgerSums {
  readonly #sums = new Float64Array(IFACE_BYTES * FIELDS)

  clear(): void {
    this.#sums.fill(0)
  }

  /** Adds a part's ledgers; `egress` is the part's direction. */
  add(words: Uint32Array, egress: boolean): void {
    for (let iface = 0; iface < MAX_IFACES; iface++) {
      const from = iface * LEDGER_WORDS
      // Every packet is in seen_packets, the first field.
      if (words[from] === 0 && words[from + 1] === 0) continue
      const to = (iface | (egress ? 0x80 : 0)) * FIELDS
      for (let field = 0; field < FIELDS; field++) {
        this.#sums[to + field] = (this.#sums[to + field] as number) + readSettled(words, from + field * 2)
      }
    }
  }

  get(iface: number, field: LedgerField): number {
    return this.#sums[iface * FIELDS + LEDGER_FIELDS.indexOf(field)] ?? 0
  }

  /** One message for each interface and direction that saw anything. */
  ledgers(): Ledger[] {
    const found: Ledger[] = []
    for (let iface = 0; iface < IFACE_BYTES; iface++) {
      if (this.get(iface, 'seenPackets') === 0) continue
      const values = LEDGER_FIELDS.map((field) => [field, this.get(iface, field)])
      found.push({ iface, ...(Object.fromEntries(values) as Record<LedgerField, number>) })
    }
    return found
  }
}
