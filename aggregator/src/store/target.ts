// SPDX-License-Identifier: Apache-2.0
import type { Source } from '../sources/registry.js'
import type { SealedSegment } from '../spool/segment.js'
import { localTable, type Place } from './ddl.js'
import type { Engine } from './engine.js'
import { COUNT_OF_SEGMENT, DELETE_SEGMENT, insertStatement } from './insert.js'
import { migrate, type SchemaOptions } from './schema.js'

/** The table that segments go to. Everything rejects with a StoreFailure. */
export interface Target {
  /** Of the table in which the rows are, without its database. */
  readonly table: string
  /** Makes or checks the tables. */
  prepare(): Promise<void>
  /** The segment's rows of one UTC day, as one part. `token` names the attempt. */
  insert(segment: SealedSegment, sources: readonly Source[], dayUnixMs: number, token: string): Promise<void>
  /** How many rows of the segment are there; undefined where the table cannot say. */
  count(segment: SealedSegment): Promise<number | undefined>
  /** Takes out what is there of a segment. */
  remove(segment: SealedSegment): Promise<void>
}

const CHECK_LIMITS = { timeoutMs: 120_000, maxMemoryBytes: 1e9 }

/** Our own table `flows`. */
export class FlowsTable implements Target {
  readonly table: string
  readonly #engine: Engine
  readonly #options: SchemaOptions
  readonly #place: Place

  constructor(engine: Engine, options: SchemaOptions) {
    this.#engine = engine
    this.#options = options
    this.#place = { database: engine.database, cluster: options.cluster }
    this.table = options.cluster === undefined ? 'flows' : 'flows_local'
  }

  prepare(): Promise<void> {
    return migrate(this.#engine, this.#options)
  }

  async insert(
    segment: SealedSegment,
    sources: readonly Source[],
    dayUnixMs: number,
    token: string,
  ): Promise<void> {
    const table = localTable(this.#place, 'flows')
    await this.#engine.load(segment.path, insertStatement(table, segment, sources, dayUnixMs, token))
  }

  async count(segment: SealedSegment): Promise<number> {
    const [row] = await this.#engine.query<{ rows: number | string }>(
      COUNT_OF_SEGMENT(this.#engine.database),
      { segment: String(segment.key), from: segment.minUnixMs, to: segment.maxUnixMs },
      CHECK_LIMITS,
    )
    return Number(row?.rows ?? 0)
  }

  async remove(segment: SealedSegment): Promise<void> {
    await this.#engine.command(DELETE_SEGMENT(this.#place, segment))
  }
}
