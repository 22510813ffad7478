// SPDX-License-Identifier: Apache-2.0
import { describeError, type Logger } from '@flowdam/common'
import {
  batchTrouble,
  type FlowBatch,
  isLedgerCounted,
  isLossCounted,
  isNumber,
  type Loss,
  MAX_LEDGERS,
  RECORD_SIZE,
  StreamRequest,
  sumRecords,
} from '@flowdam/proto'
import type { DeadLetters } from './dead-letters.js'
import { NO_RECORDS, type QueuedBatch } from './queued-batch.js'
import type { Damage } from './spool/damage.js'

const REASON = 'refused'
/** Who says so, when it is not an aggregator. */
const US = 'this agent'

/** Why a batch cannot be sent as it is; `entry` is what it must be. */
export function troubleOf(batch: FlowBatch, entry: Pick<QueuedBatch, 'bootId' | 'seq'>): string | undefined {
  if (batch.bootId !== entry.bootId || batch.seq !== entry.seq) return 'it has another name than it was given'
  return batchTrouble(batch)
}

/** What goes in place of a batch that cannot: its name, and sums of what is set aside. */
export function restOfRefused(batch: FlowBatch, name: Pick<QueuedBatch, 'bootId' | 'seq'>): FlowBatch {
  const { epochStartUnixMs, epochMs, records, ledgers } = batch
  return {
    bootId: name.bootId,
    seq: name.seq,
    epochStartUnixMs: isNumber(epochStartUnixMs) ? epochStartUnixMs : 0,
    epochMs: isNumber(epochMs) && epochMs < 2 ** 32 ? epochMs : 0,
    records: NO_RECORDS,
    ledgers: ledgers.filter(isLedgerCounted).slice(0, MAX_LEDGERS),
    lost: records.length >= RECORD_SIZE ? { ...sumRecords(records), reason: REASON } : soundLoss(batch.lost),
  }
}

/** Less than this of a batch there cannot be: an aggregator that refuses it, too, does not mean the batch. */
export function isLeast({ records, ledgers, lost }: FlowBatch): boolean {
  return records.length === 0 && ledgers.length === 0 && (!lost || lost.reason === REASON)
}

export interface SetAsideOptions {
  deadLetters?: DeadLetters | undefined
  log?: Logger | undefined
}

/** Keeps what is malformed for people, and says so. */
export class SetAside {
  /** Since start. */
  batches = 0
  readonly #options: SetAsideOptions

  constructor(options: SetAsideOptions) {
    this.#options = options
  }

  async keep(batch: FlowBatch, rest: FlowBatch, reason: string, by = US): Promise<void> {
    const { deadLetters, log } = this.#options
    const { bootId, seq, lost } = rest
    const sums = { records: lost?.records ?? 0, packets: lost?.packets ?? 0, bytes: lost?.bytes ?? 0 }
    this.batches++
    log?.error(
      { boot: bootId, seq, ...sums, reason, by, file: deadLetters?.path },
      'FD_SET_ASIDE: a batch is malformed; its flow detail is counted as refused and kept in the file, the rest goes on. If it happens again, check the memory of this machine, and report it with the file',
    )
    await deadLetters?.keep({ what: 'batch', reason, by, bootId, seq, ...sums, content: contentOf(batch) })
  }

  /** A part of the spool that cannot be read any more. */
  keepDamage({ where, sums, names, content }: Damage): void {
    const { deadLetters, log } = this.#options
    const [first] = names
    const line = { ...sums, file: where, boot: first?.bootId, batches: names.map(({ seq }) => seq) }
    log?.error(
      { ...line, bytesOnDisk: content.length },
      'FD_SPOOL_DAMAGED: a part of the spool was changed on the disk; its flow detail is counted as spool_damaged, the rest goes on. Is the disk healthy?',
    )
    const reason = `damaged in ${where}`
    void deadLetters?.keep({
      what: 'spool',
      reason,
      by: US,
      bootId: first?.bootId,
      seq: first?.seq,
      ...sums,
      content,
    })
  }
}

/** As protobuf, or if it cannot even be that, its records. */
function contentOf(batch: FlowBatch): Uint8Array {
  try {
    return StreamRequest.encode({ message: { $case: 'flowBatch', value: batch } }).finish()
  } catch (error) {
    return Buffer.concat([Buffer.from(`${describeError(error)}\n`), batch.records])
  }
}

function soundLoss(lost: Loss | undefined): Loss | undefined {
  return lost && isLossCounted(lost) ? { ...lost, reason: lost.reason.slice(0, 40) } : undefined
}
