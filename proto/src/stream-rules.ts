// SPDX-License-Identifier: Apache-2.0
//
// What messages of the stream may hold. Both ends ask: the agent before it sends, so that one damaged batch does not
// end its stream again and again, the aggregator before it takes.
import { DELTA_SIZE } from './delta.js'
import type { FlowBatch, HostDeltas, Ledger, Loss } from './gen/flowdam/v1/ingest.js'
import { MAX_BATCH_RECORDS, MAX_COUNT, RECORD_SIZE } from './record.js'

export const MAX_LEDGERS = 256
const MAX_REASON_TEXT = 256
const MAX_U32 = 0xffffffff

/** Why the contract forbids this batch, undefined when it does not. */
export function batchTrouble(batch: FlowBatch): string | undefined {
  const { bootId, seq, epochStartUnixMs, epochMs, records, ledgers, lost } = batch
  if (!isNumber(bootId) || !isNumber(seq)) return 'boot_id and seq must be at least 1'
  if (!isCount(epochStartUnixMs, Number.MAX_SAFE_INTEGER) || !isCount(epochMs, MAX_U32)) {
    return 'the epoch has no time'
  }
  const { length } = records
  if (length % RECORD_SIZE !== 0 || length > MAX_BATCH_RECORDS * RECORD_SIZE) {
    return `${length} bytes are not 0-${MAX_BATCH_RECORDS} records of ${RECORD_SIZE} bytes`
  }
  if (lost && (length > 0 || lost.reason.length > MAX_REASON_TEXT)) {
    return 'lost is for a batch without records, and gives a short reason'
  }
  if (lost && !isLossCounted(lost)) return 'lost counts more than an epoch can hold'
  if (ledgers.length > MAX_LEDGERS) return `more than ${MAX_LEDGERS} ledgers`
  if (!ledgers.every(isLedgerCounted)) return 'a ledger counts more than an epoch can hold'
  return undefined
}

export function isLedgerCounted({ iface, ...counts }: Ledger): boolean {
  return isCount(iface, 255) && Object.values(counts).every((count) => isCount(count, MAX_COUNT))
}

export function isLossCounted({ records, packets, bytes }: Loss): boolean {
  return [records, packets, bytes].every((count) => isCount(count, MAX_COUNT))
}

/** Why the contract forbids these host deltas, undefined when it does not. */
export function deltasTrouble(deltas: HostDeltas): string | undefined {
  const { seq, coversUs, nowUnixMs, entries, incoming, outgoing } = deltas
  if (![seq, coversUs, nowUnixMs].every((count) => isCount(count, Number.MAX_SAFE_INTEGER))) {
    return 'seq and times must be whole numbers'
  }
  for (const totals of [incoming, outgoing]) {
    if (totals && !Object.values(totals).every((count) => isCount(count, MAX_COUNT))) {
      return 'totals above what any link carries'
    }
  }
  if (entries.length % DELTA_SIZE !== 0) {
    return `${entries.length} bytes are not entries of ${DELTA_SIZE} bytes`
  }
  return undefined
}

/** Whether it can name something: a whole number from 1 on. */
export function isNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1
}

function isCount(value: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= most
}
