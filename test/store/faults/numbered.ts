// SPDX-License-Identifier: Apache-2.0
import { makeRecords, type Sums } from '@flowdam/aggregator/internal/testing/records'
import { RECORD_SIZE, RecordOffset } from '@flowdam/proto'

/** Records of which each has a source address of its own, by number, so that a sum of errors cannot hide one. */
export class NumberedRecords {
  readonly sent: Sums = { records: 0, packets: 0, bytes: 0 }
  #seed = 0

  make(count: number): Buffer {
    const { records, sums } = makeRecords(count, ++this.#seed)
    for (let index = 0; index < count; index++) {
      const at = index * RECORD_SIZE + RecordOffset.srcAddr
      records.fill(0, at, at + 16)
      records.writeUInt32BE(0x2001_0db8, at)
      records.writeUInt32BE(this.sent.records + index, at + 12)
    }
    this.sent.records += sums.records
    this.sent.packets += sums.packets
    this.sent.bytes += sums.bytes
    return records
  }
}

/** For `flowdam.flows` with these records only: sums, different records, and the greatest number. */
export const ACCOUNT =
  'SELECT count() AS records, sum(packets) AS packets, sum(bytes) AS bytes, uniqExact(src_addr) AS different, ' +
  'max(reinterpretAsUInt32(reverse(substring(reinterpretAsString(src_addr), 13, 4)))) AS last FROM flowdam.flows'

export type Account = Record<'records' | 'packets' | 'bytes' | 'different' | 'last', string | number>

/** What ACCOUNT must answer when each record is there once. */
export function whole(sent: Sums): Account {
  return { ...sent, different: sent.records, last: sent.records - 1 }
}

/** As numbers: 64-bit ones come as text. */
export function numbers(account: Account | undefined): Account {
  return Object.fromEntries(
    Object.entries(account ?? {}).map(([name, value]) => [name, Number(value)]),
  ) as Account
}
