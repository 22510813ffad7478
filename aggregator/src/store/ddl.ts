// SPDX-License-Identifier: Apache-2.0

/** A table in words; {@link createTable} makes its statements for one server or for a cluster. */
export interface Table {
  name: string
  columns: string
  /** MergeTree or ReplacingMergeTree. */
  engine: 'MergeTree' | 'ReplacingMergeTree'
  /** Of ReplacingMergeTree: the row with the greatest counts. */
  version?: string
  /** PARTITION BY, ORDER BY, TTL. */
  body: string
  settings?: string[]
  /** Of a cluster: rows are spread over the shards. Else each server has all. */
  sharded: boolean
  /** How many inserts back a repeated token is recognised. */
  deduplicationWindow?: number
}

/** Where tables are. `cluster` is its name in the servers' `remote_servers`. */
export interface Place {
  database: string
  cluster?: string | undefined
}

export function onCluster({ cluster }: Place): string {
  return cluster === undefined ? '' : ` ON CLUSTER '${cluster}'`
}

/** The table that has the rows, where `name` may be Distributed over it. */
export function localTable({ database, cluster }: Place, name: string): string {
  return cluster === undefined ? `${database}.${name}` : `${database}.${name}_local`
}

/**
 * On a cluster: Replicated tables, by the macros {shard} and {replica} that every server of a cluster has; a sharded
 * table is `NAME_local` with a Distributed `NAME` over it.
 */
export function createTable(place: Place, table: Table): string[] {
  const { database, cluster } = place
  const { name, columns, engine, version, body, sharded, deduplicationWindow: window } = table
  const settings = [...(table.settings ?? [])]
  if (window !== undefined) {
    settings.unshift(
      `${cluster === undefined ? 'non_replicated' : 'replicated'}_deduplication_window = ${window}`,
    )
  }
  const tail = `${body}${settings.length > 0 ? `\nSETTINGS ${settings.join(', ')}` : ''}`
  if (cluster === undefined) {
    return [
      `CREATE TABLE IF NOT EXISTS ${database}.${name}\n(\n${columns}\n)\nENGINE = ${engine}(${version ?? ''})\n${tail}`,
    ]
  }
  const local = sharded ? `${name}_local` : name
  const path = `/clickhouse/tables/${sharded ? '{shard}' : 'all'}/${database}/${local}`
  const args = [`'${path}'`, `'{replica}'`, ...(version ? [version] : [])].join(', ')
  const statements = [
    `CREATE TABLE IF NOT EXISTS ${database}.${local}${onCluster(place)}\n(\n${columns}\n)\nENGINE = Replicated${engine}(${args})\n${tail}`,
  ]
  if (sharded) {
    statements.push(
      `CREATE TABLE IF NOT EXISTS ${database}.${name}${onCluster(place)} AS ${database}.${local} ENGINE = Distributed('${cluster}', ${database}, ${local}, rand())`,
    )
  }
  return statements
}
