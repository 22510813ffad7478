// SPDX-License-Identifier: Apache-2.0
import type { Table } from '../ddl.js'
import { FIELDS, type FieldName } from './fields.js'

/** Of our types, those that servers of before 2019 do not have, as what they have. */
const TYPES: readonly [RegExp, string][] = [
  [/DateTime64\([^)]*\)/g, 'DateTime'],
  [/LowCardinality\((\w+)\)/g, '$1'],
  [/\bIPv6\b/g, 'String'],
  [/ COMMENT '[^']*'/g, ''],
  [/ CODEC\((?:[^()]|\([^()]*\))*\)/g, ''],
]

export interface PlainTable {
  /** CREATE TABLE, and with a cluster the Distributed one over it. */
  statements: string[]
  /** For store.table.columns: each column's field. */
  columns: Record<string, FieldName>
}

/**
 * One of our tables for a server without IPv6, LowCardinality, codecs, comments and TTL, to be filled as a table of one's
 * own. With `cluster` it is NAME_local on every server, and NAME spreads rows over them.
 */
export function plainTable(table: Table, database: string, cluster?: string): PlainTable {
  const columns = TYPES.reduce((text, [type, plain]) => text.replace(type, plain), table.columns)
  const body = table.body.replace(/\nTTL .*/, '')
  const local = `${database}.${table.name}${cluster === undefined ? '' : '_local'}`
  const names = [...columns.matchAll(/^ {4}(\w+) /gm)].map(([, name]) => name as string)
  const unknown = names.find((name) => !(name in FIELDS))
  if (unknown !== undefined) throw new Error(`no field fills ${table.name}.${unknown}`)
  return {
    statements: [
      `CREATE TABLE ${local}\n(\n${columns}\n)\nENGINE = MergeTree()\n${body}`,
      ...(cluster === undefined
        ? []
        : [
            `CREATE TABLE ${database}.${table.name} AS ${local} ENGINE = Distributed(${cluster}, ${database}, ${table.name}_local, rand())`,
          ]),
    ],
    columns: Object.fromEntries(names.map((name) => [name, name as FieldName])),
  }
}
