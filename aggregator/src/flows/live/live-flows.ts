// SPDX-License-Identifier: Apache-2.0
import { type FlowBatch, RECORD_SIZE } from '@flowdam/proto'
import { RetryError } from '../../api/errors.js'
import type { BatchOrigin, BatchSink } from '../../contracts.js'
import type { SourceRegistry } from '../../sources/registry.js'
import { BatchTap } from '../../spool/batch-tap.js'
import { epochLimit, trustedEpochStart } from '../../spool/pending.js'
import { type FlowFilter, Matcher, RECORD_WORDS } from './matcher.js'
import { FlowWatcher, type TakeFlows } from './watcher.js'

/** Each costs some nanoseconds a record (scripts/bench/flow-watch.ts). */
const MOST_WATCHERS = 16
/** One caller must leave room for others. */
const MOST_OF_CALLER = 8
const TURN_MS = 100
/** Flows that one watcher gets in a turn, and all together: each is some microseconds to write, and more to who reads. */
const MOST_IN_TURN = 200
const MOST_OF_ALL = 400
const RETRY_MS = 5000
/** Records that all look at before the next: they stay in the processor's first cache. */
const BLOCK = 256

/**
 * Shows flow batches to who watches, on their way to the spool. While nobody does, that is one comparison a batch. Ingest
 * never waits for a watcher: what one has no room for is counted, and it is told.
 */
export class LiveFlows extends BatchTap {
  readonly #sources: Pick<SourceRegistry, 'get'>
  readonly #watchers = new Set<FlowWatcher>()
  /** For batches that the decoder put askew. */
  #aligned = new Uint32Array(0)
  #timer: NodeJS.Timeout | undefined
  /** Flows given to watchers, and those that matched and were not. */
  sent = 0
  missed = 0

  constructor(batches: BatchSink, sources: Pick<SourceRegistry, 'get'>) {
    super(batches)
    this.#sources = sources
  }

  protected get looks(): boolean {
    return this.#watchers.size > 0
  }

  get watchers(): number {
    return this.#watchers.size
  }

  /** Gives `take` what matches until the returned function is called. Throws FD_QUERY_INVALID, FD_FLOW_WATCHES. */
  watch(filter: FlowFilter, by: string, take: TakeFlows): () => void {
    const matcher = new Matcher(filter)
    this.#admit(by)
    const watcher = new FlowWatcher(by, matcher, MOST_IN_TURN, take)
    this.#watchers.add(watcher)
    this.#timer ??= setInterval(() => this.#turn(), TURN_MS).unref()
    watcher.begin()
    return () => {
      this.#watchers.delete(watcher)
      if (this.#watchers.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  #admit(by: string): void {
    const all = this.#watchers.size
    const own = [...this.#watchers].filter((watcher) => watcher.by === by).length
    if (all < MOST_WATCHERS && own < MOST_OF_CALLER) return
    const most = own < MOST_OF_CALLER ? `${MOST_WATCHERS} there may be` : `${MOST_OF_CALLER} of one caller`
    throw new RetryError('FD_FLOW_WATCHES', `no more than the ${most} watch flows at the same time`, RETRY_MS)
  }

  protected look(origin: BatchOrigin, batch: FlowBatch): void {
    const records = Math.floor(batch.records.length / RECORD_SIZE)
    const seen = {
      words: this.#wordsOf(batch.records, records),
      origin,
      epochStartUnixMs: trustedEpochStart(batch.epochStartUnixMs, origin.clockSkewMs, Date.now()),
      limitMs: epochLimit(batch.epochMs),
    }
    const most = Math.min(MOST_IN_TURN, Math.floor(MOST_OF_ALL / this.#watchers.size))
    for (let from = 0; from < records; from += BLOCK) {
      const to = Math.min(from + BLOCK, records)
      for (const watcher of this.#watchers) {
        if (watcher.matcher.wantsAgent(origin.id)) watcher.look(seen, from, to, most)
      }
    }
  }

  #turn(): void {
    for (const watcher of this.#watchers) {
      const { sent, missed } = watcher.turn(this.#sources)
      this.sent += sent
      this.missed += missed
    }
  }

  #wordsOf(records: Uint8Array, count: number): Uint32Array {
    const length = count * RECORD_WORDS
    if (records.byteOffset % 4 === 0) return new Uint32Array(records.buffer, records.byteOffset, length)
    if (this.#aligned.length < length) this.#aligned = new Uint32Array(length)
    new Uint8Array(this.#aligned.buffer).set(records.subarray(0, count * RECORD_SIZE))
    return this.#aligned
  }
}
