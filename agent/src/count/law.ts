// SPDX-License-Identifier: Apache-2.0
import { Ledger } from '@flowdam/proto'
import { IFACE_BYTES } from './ledger.js'
import { RECORD_WORDS, RecordWord, readSettled } from './words.js'

/** Packets and bytes of records, by iface byte. */
class RecordSums {
  readonly packets = new Float64Array(IFACE_BYTES)
  readonly bytes = new Float64Array(IFACE_BYTES)

  clear(): void {
    this.packets.fill(0)
    this.bytes.fill(0)
  }

  add(words: Uint32Array, firstRecord: number, records: number): void {
    const end = (firstRecord + records) * RECORD_WORDS
    // Neighbours mostly came through the same interface: sums in registers, stored when it changes.
    let iface = 0
    let packets = 0
    let bytes = 0
    for (let at = firstRecord * RECORD_WORDS; at < end; at += RECORD_WORDS) {
      const here = ((words[at + RecordWord.proto] as number) >>> 8) & 0xff
      if (here !== iface) {
        this.#store(iface, packets, bytes)
        iface = here
        packets = 0
        bytes = 0
      }
      packets += words[at + RecordWord.packets] as number
      bytes += readSettled(words, at + RecordWord.bytesLow)
    }
    this.#store(iface, packets, bytes)
  }

  #store(iface: number, packets: number, bytes: number): void {
    this.packets[iface] = (this.packets[iface] as number) + packets
    this.bytes[iface] = (this.bytes[iface] as number) + bytes
  }
}

/**
 * The law, for every epoch, interface and direction: seen = flow + overflow + not_ip + malformed, in packets and in
 * bytes, and the sums over records equal the ledger. Checked in production, not only in tests.
 */
export class LawCheck {
  readonly flows = new RecordSums()
  readonly overflow = new RecordSums()

  clear(): void {
    this.flows.clear()
    this.overflow.clear()
  }

  /** What does not agree, in words; empty when all does. */
  violations(ledgers: readonly Ledger[]): string[] {
    const found: string[] = []
    const byIface = new Map(ledgers.map((ledger) => [ledger.iface, ledger]))
    for (let iface = 0; iface < IFACE_BYTES; iface++) {
      const ledger = byIface.get(iface) ?? Ledger.create({ iface })
      const expect = (what: string, left: number, right: number) => {
        if (left !== right) found.push(`iface ${iface}: ${what}: ${left} is not ${right}`)
      }
      const l = ledger
      expect(
        'seen packets = flow + overflow + not_ip + malformed',
        l.seenPackets,
        l.flowPackets + l.overflowPackets + l.notIpPackets + l.malformedPackets,
      )
      expect(
        'seen bytes = flow + overflow + not_ip + malformed',
        l.seenBytes,
        l.flowBytes + l.overflowBytes + l.notIpBytes + l.malformedBytes,
      )
      expect('packets in flow records', this.flows.packets[iface] ?? 0, l.flowPackets)
      expect('bytes in flow records', this.flows.bytes[iface] ?? 0, l.flowBytes)
      expect('packets in overflow records', this.overflow.packets[iface] ?? 0, l.overflowPackets)
      expect('bytes in overflow records', this.overflow.bytes[iface] ?? 0, l.overflowBytes)
    }
    return found
  }
}
