// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { RECORD_SIZE, RecordOffset } from '@flowdam/proto'
import type { Source } from '../../sources/registry.js'
import type { SealedSegment } from '../../spool/segment.js'
import type { ClickHouseEngine } from '../clickhouse/engine.js'
import { quote, StoreFailure } from '../engine.js'
import type { Target } from '../target.js'
import { type FieldName, rowText } from './fields.js'

/** Records turned into text in one turn of the event loop: 1-2 ms, so that detection does not wait. */
const CHUNK = 1024
const DAY_MS = 86_400_000
const LIMITS = { timeoutMs: 120_000, maxMemoryBytes: 1e9 }

export interface MappedTableOptions {
  engine: ClickHouseEngine
  table: string
  /** Column of the table → what fills it. */
  columns: Readonly<Record<string, FieldName>>
  /** Where the table is Distributed: who holds its rows, and as which table. */
  shards?: { table: string; engines: readonly ClickHouseEngine[] } | undefined
}

/**
 * Somebody's own table, of any ClickHouse there is: rows go as TabSeparated text with the columns that they name. Where
 * a column holds `segment`, an insert whose outcome is not known is counted and completed, so that each flow is there
 * once; without such a column it is done again.
 */
export class MappedTable implements Target {
  readonly table: string
  readonly #engine: ClickHouseEngine
  readonly #name: string
  readonly #columns: readonly string[]
  readonly #fields: readonly FieldName[]
  readonly #segmentColumn: string | undefined
  readonly #shards: MappedTableOptions['shards']
  #isDistributed = false

  constructor({ engine, table, columns, shards }: MappedTableOptions) {
    this.#shards = shards
    this.#engine = engine
    this.table = table
    this.#name = `${identifier(engine.database)}.${identifier(table)}`
    this.#segmentColumn = Object.keys(columns).find((column) => columns[column] === 'segment')
    // An old server takes a body that breaks off for a whole one, and the value that was cut for what is left of it. The
    // segment comes first, so that such a row has it and is found when what is there is counted and taken out.
    const others = Object.keys(columns).filter((column) => column !== this.#segmentColumn)
    this.#columns = this.#segmentColumn === undefined ? others : [this.#segmentColumn, ...others]
    this.#fields = this.#columns.map((column) => columns[column] as FieldName)
  }

  async prepare(): Promise<void> {
    const [about] = await this.#engine.query<{ engine: string }>(
      `SELECT engine FROM system.tables WHERE database = ${quote(this.#engine.database)} AND name = ${quote(this.table)}`,
      {},
      LIMITS,
    )
    this.#isDistributed = about?.engine === 'Distributed'
    const rows = await this.#engine.query<{ name: string }>(
      `SELECT name FROM system.columns WHERE database = ${quote(this.#engine.database)} AND table = ${quote(this.table)}`,
      {},
      LIMITS,
    )
    if (rows.length === 0) throw new StoreFailure('schema', `there is no table ${this.#name}`)
    const there = new Set(rows.map(({ name }) => name))
    const missing = this.#columns.filter((column) => !there.has(column))
    if (missing.length > 0)
      throw new StoreFailure('schema', `${this.#name} has no column ${missing.join(', ')}`)
  }

  async insert(segment: SealedSegment, sources: readonly Source[], dayUnixMs: number): Promise<void> {
    const names = this.#columns.map(identifier).join(', ')
    try {
      await this.#engine.insertText(
        `INSERT INTO ${this.#name} (${names}) FORMAT TabSeparated`,
        Readable.from(this.#text(segment, sources, dayUnixMs), { objectMode: false }),
        {
          // One block, so one part for each partition.
          max_insert_block_size: String(segment.rows + 1),
          // Confirmed when the shards have it, not when it waits to be sent to them.
          ...(this.#isDistributed ? { insert_distributed_sync: '1' } : {}),
        },
      )
    } catch (error) {
      throw this.#isDistributed ? ofShards(error) : error
    }
  }

  async count(segment: SealedSegment): Promise<number | undefined> {
    // What is half there on shards that we cannot reach cannot be taken out: then it is done again, as without a column.
    if (this.#segmentColumn === undefined || (this.#isDistributed && !this.#shards)) return undefined
    const [row] = await this.#engine.query<{ rows: number | string }>(
      `SELECT count() AS rows FROM ${this.#name} WHERE ${identifier(this.#segmentColumn)} = ${segment.key}`,
      {},
      LIMITS,
    )
    return Number(row?.rows ?? 0)
  }

  async remove(segment: SealedSegment): Promise<void> {
    if (this.#segmentColumn === undefined) return
    const where = `DELETE WHERE ${identifier(this.#segmentColumn)} = ${segment.key}`
    if (this.#isDistributed && this.#shards) {
      const local = `${identifier(this.#engine.database)}.${identifier(this.#shards.table)}`
      for (const shard of this.#shards.engines) {
        await shard.start()
        await shard.command(`ALTER TABLE ${local} ${where}`).finally(() => shard.stop())
      }
    } else {
      await this.#engine.command(`ALTER TABLE ${this.#name} ${where}`)
    }
    // Old servers delete in the background; the loader counts again before it inserts.
    if ((await this.count(segment)) !== 0) throw new StoreFailure('retry', 'rows are still being deleted')
  }

  /** The segment's records of one day as text. Reads the file piece by piece. */
  async *#text(
    segment: SealedSegment,
    sources: readonly Source[],
    dayUnixMs: number,
  ): AsyncGenerator<Buffer> {
    const bySource = new Map(sources.map((source) => [source.number, source]))
    const from = dayUnixMs - segment.baseUnixMs
    const piece = Buffer.allocUnsafe(CHUNK * RECORD_SIZE)
    const file = await open(segment.path, 'r')
    try {
      for (let position = 0; position < segment.bytes; ) {
        const { bytesRead } = await file.read(piece, 0, piece.length, position)
        if (bytesRead === 0 || bytesRead % RECORD_SIZE !== 0) {
          throw new StoreFailure('bad_data', `${segment.path} ends within a record`)
        }
        position += bytesRead
        let text = ''
        for (let at = 0; at < bytesRead; at += RECORD_SIZE) {
          const first = piece.readUInt32LE(at + RecordOffset.firstMs)
          if (first < from || first >= from + DAY_MS) continue
          const source = bySource.get(piece.readUInt16LE(at + RecordOffset.source))
          const context = { baseUnixMs: segment.baseUnixMs, segment: String(segment.key), source }
          text += `${rowText(this.#fields, piece, at, context)}\n`
        }
        if (text !== '') yield Buffer.from(text)
        await nextTurn()
      }
    } finally {
      await file.close()
    }
  }
}

/**
 * Whatever failed, some shards may have their rows. And a shard that dies while it is written to is ATTEMPT_TO_READ_AFTER_EOF or
 * CANNOT_READ_ALL_DATA to the server that writes to it: not the rows' fault.
 */
function ofShards(error: unknown): unknown {
  if (!(error instanceof StoreFailure)) return error
  const { kind, code, message } = error
  const gone = code === 32 || code === 33
  return new StoreFailure(gone ? 'retry' : kind, message, { uncertain: true, code, cause: error })
}

function identifier(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``
}
