// SPDX-License-Identifier: Apache-2.0
import type { DiskSpace } from '../disk/space.js'

export type QueryParams = Record<string, string | number | readonly string[] | readonly number[]>

export interface QueryLimits {
  timeoutMs: number
  /** Sorting and grouping go to the disk at half of it. */
  maxMemoryBytes: number
  /** Asked by somebody who can wait: what the aggregator itself asks does not wait for it. */
  patient?: boolean
  /** Ends the statement in the database when nobody waits for its answer any more. */
  signal?: AbortSignal
  /** Called with the number of rows that were read. */
  onRead?: (rows: number) => void
}

/** What keeps a query within its limits, as settings of ClickHouse. */
export function limitSettings({ timeoutMs, maxMemoryBytes }: QueryLimits): Record<string, string> {
  const half = String(Math.floor(maxMemoryBytes / 2))
  return {
    max_execution_time: String(timeoutMs / 1000),
    max_memory_usage: String(maxMemoryBytes),
    max_bytes_before_external_group_by: half,
    max_bytes_before_external_sort: half,
  }
}

/** ClickHouse, in whatever process it runs. Everything rejects with a {@link StoreFailure}. */
export interface Engine {
  readonly kind: 'embedded' | 'clickhouse'
  /** The database that holds our tables; an identifier. */
  readonly database: string
  start(): Promise<void>
  stop(): Promise<void>
  /** A statement without a result: DDL, SYSTEM, mutations. */
  command(sql: string): Promise<void>
  /** A statement that may take minutes; others do not wait for it. */
  background(sql: string): Promise<void>
  /** Rows as objects. Values only through `params` (`{name:Type}` in the text), never in the text. */
  query<Row>(sql: string, params: QueryParams, limits: QueryLimits): Promise<Row[]>
  /** Rows as objects or their JSON into a table, of our database unless it is named; some thousands at most. */
  insertRows(table: string, rows: readonly (object | string)[]): Promise<void>
  /** Ends merges that are under way and begins no others, or allows them again; nothing for a server: it is not ours. */
  allowMerges(allowed: boolean): Promise<void>
  /** Of the disk that the table lies on; undefined where it cannot be known. */
  space(table: string): Promise<DiskSpace | undefined>
  /** Runs `statement` with what to write behind FROM to read the records of `file`. */
  load(file: string, statement: (from: string) => string): Promise<void>
}

/**
 * What to do about a failure:
 * - retry: the same again later, for as long as it takes
 * - crowded: the same, but slower: the server asks for fewer or later inserts
 * - bad_data: this segment will never load
 * - schema: nothing will load until somebody changes the tables or the rights
 */
export type FailureKind = 'retry' | 'crowded' | 'bad_data' | 'schema'

export class StoreFailure extends Error {
  readonly kind: FailureKind
  /** The statement may have taken effect all the same. */
  readonly uncertain: boolean
  /** ClickHouse's error number, where it came from there. */
  readonly code: number | undefined

  constructor(
    kind: FailureKind,
    message: string,
    options: { uncertain?: boolean; code?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'StoreFailure'
    this.kind = kind
    this.uncertain = options.uncertain ?? false
    this.code = options.code
  }
}

/** src/Common/ErrorCodes.cpp of ClickHouse. What is in no list is retried: losing nothing comes first. */
const BAD_DATA = new Set([
  6, // CANNOT_PARSE_TEXT
  26, // CANNOT_PARSE_QUOTED_STRING
  27, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
  32, // ATTEMPT_TO_READ_AFTER_EOF
  33, // CANNOT_READ_ALL_DATA
  117, // INCORRECT_DATA
  131, // TOO_LARGE_STRING_SIZE
])
const SCHEMA = new Set([
  10, // NOT_FOUND_COLUMN_IN_BLOCK
  16, // NO_SUCH_COLUMN_IN_TABLE
  20, // NUMBER_OF_COLUMNS_DOESNT_MATCH
  36, // BAD_ARGUMENTS
  42, // NUMBER_OF_ARGUMENTS_DOESNT_MATCH
  43, // ILLEGAL_TYPE_OF_ARGUMENT
  46, // UNKNOWN_FUNCTION
  47, // UNKNOWN_IDENTIFIER
  50, // UNKNOWN_TYPE
  53, // TYPE_MISMATCH
  60, // UNKNOWN_TABLE
  62, // SYNTAX_ERROR
  81, // UNKNOWN_DATABASE
  115, // UNKNOWN_SETTING
  192, // UNKNOWN_USER
  193, // WRONG_PASSWORD
  497, // ACCESS_DENIED
  516, // AUTHENTICATION_FAILED
])
const CROWDED = new Set([
  75, // CANNOT_WRITE_TO_FILE_DESCRIPTOR, which is ENOSPC as a rule
  202, // TOO_MANY_SIMULTANEOUS_QUERIES
  241, // MEMORY_LIMIT_EXCEEDED
  243, // NOT_ENOUGH_SPACE
  252, // TOO_MANY_PARTS
])
/** Said before an insert begins. After anything else it may have happened: a part can be there, or only its token. */
const REFUSED = new Set([
  202, // TOO_MANY_SIMULTANEOUS_QUERIES
  252, // TOO_MANY_PARTS
])

/** From ClickHouse's number and message. */
export function failureOf(code: number | undefined, message: string, cause?: unknown): StoreFailure {
  const kind: FailureKind =
    code === undefined
      ? 'retry'
      : BAD_DATA.has(code)
        ? 'bad_data'
        : SCHEMA.has(code)
          ? 'schema'
          : CROWDED.has(code)
            ? 'crowded'
            : 'retry'
  const uncertain = kind !== 'schema' && (code === undefined || !REFUSED.has(code))
  return new StoreFailure(kind, firstLine(message), { uncertain, code, cause })
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0]?.slice(0, 500) ?? ''
}

/** One row a line, as JSONEachRow has it. */
export function jsonLines(rows: readonly (object | string)[]): string {
  return rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n')
}

/** The table's name with its database. */
export function inDatabase(database: string, table: string): string {
  return table.includes('.') ? table : `${database}.${table}`
}

/** A literal for SQL text; only for what is ours (paths, tokens, names), values of people go through parameters. */
export function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
