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
import type { QueueDrops } from './queue-drops.js'
import { emptyBatch, NO_RECORDS, type QueuedBatch } from './queued-batch.js'
import type { Damage } from './spool/damage.js'

const REASON = 'refused'
/** Who says so, when it is not an aggregator. */
const US = 'this agent'

type Name = Pick<QueuedBatch, 'bootId' | 'seq'>

export interface SetAsideOptions {
  deadLetters?: DeadLetters | undefined
  log?: Logger | undefined
  drops: QueueDrops
  /** The batch, if it still has so many records, goes on as `rest`. */
  replace: (entry: QueuedBatch, records: number, rest: FlowBatch) => Promise<void>
  /** There may be something to send. */
  replaced: () => void
}

/** Takes batches that no aggregator can take out of the way: keeps them for people, counts them, and says so. */
export class SetAside {
  /** Since start. */
  batches = 0
  readonly #options: SetAsideOptions
  readonly #underWay = new Set<Promise<void>>()

  constructor(options: SetAsideOptions) {
    this.#options = options
  }

  /** The batch, or what goes on instead of one that is malformed from the beginning. */
  orRest(batch: FlowBatch): FlowBatch {
    const trouble = batchTrouble(batch)
    if (!trouble) return batch
    const rest = restOf(batch, batch)
    if (rest.lost && batch.records.length > 0) this.#options.drops.add(REASON, rest.lost.records, rest.lost)
    void this.#keep(batch, rest, trouble, US)
    return rest
  }

  /** Whether a batch may be sent and written; else it is on its way aside. */
  isSound(entry: QueuedBatch, batch: FlowBatch): boolean {
    if (entry.aside) return false
    const trouble = troubleOf(batch, entry)
    if (!trouble) return true
    void this.#replace(entry, batch, restOf(batch, entry), trouble, US).then(this.#options.replaced)
    return false
  }

  /** An aggregator cannot take it. False when there is nothing to set aside that would help. */
  async refuse(entry: QueuedBatch, batch: FlowBatch, reason: string, by: string): Promise<boolean> {
    if (isLeast(batch)) return false
    // Which of it the aggregator does not like, we cannot know.
    await this.#replace(entry, batch, { ...restOf(batch, entry), ledgers: [] }, reason, by)
    return true
  }

  /** What goes on instead of batches that the disk has lost. */
  missing({ where, sums, names, content }: Damage): FlowBatch[] {
    const { deadLetters, log, drops } = this.#options
    const last = names.at(-1)
    const line = { ...sums, file: where, boot: last?.bootId, batches: names.map(({ seq }) => seq) }
    log?.error(
      { ...line, bytesOnDisk: content.length },
      'FD_SPOOL_DAMAGED: a part of the spool was changed on the disk; its flow detail is counted as spool_damaged, the rest goes on. Is the disk healthy?',
    )
    drops.add('spool_damaged', sums.records, sums)
    const { bootId, seq } = last ?? {}
    void deadLetters?.keep({
      ...{ what: 'spool', reason: `damaged in ${where}`, by: US },
      ...{ bootId, seq, ...sums, content },
    })
    // What the disk lost is next to what stands behind it.
    return names.map((name) => ({
      ...emptyBatch(name),
      lost: name === last ? { ...sums, reason: 'spool_damaged' } : undefined,
    }))
  }

  /** Nothing of this is malformed any more. */
  async settle(entries: readonly QueuedBatch[]): Promise<void> {
    for (const entry of entries) if (entry.batch) this.isSound(entry, entry.batch)
    await Promise.all(this.#underWay)
  }

  async #replace(entry: QueuedBatch, batch: FlowBatch, rest: FlowBatch, reason: string, by: string) {
    const { records } = entry
    entry.aside = true
    const work = this.#keep(batch, rest, reason, by)
      .then(() => this.#options.replace(entry, records, rest))
      .finally(() => {
        entry.aside = false
        this.#underWay.delete(work)
      })
    this.#underWay.add(work)
    await work
  }

  async #keep(batch: FlowBatch, rest: FlowBatch, reason: string, by: string): Promise<void> {
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
}

/** Why a batch cannot be sent as it is; `name` is what it must be. */
function troubleOf(batch: FlowBatch, name: Name): string | undefined {
  if (batch.bootId !== name.bootId || batch.seq !== name.seq) return 'it has another name than it was given'
  return batchTrouble(batch)
}

/** What goes in place of a batch that cannot: its name, sound ledgers, and sums of what is set aside. */
function restOf(batch: FlowBatch, name: Name): FlowBatch {
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
function isLeast({ records, ledgers, lost }: FlowBatch): boolean {
  return records.length === 0 && ledgers.length === 0 && (!lost || lost.reason === REASON)
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
