// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path'
import type { FlowSent } from '@flowdam/scripts/lab/traffic'
import { Session } from 'chdb'

/** What the database holds of one flow, over all its rows. */
export interface FlowStored extends FlowSent {
  rows: number
}

/**
 * The rows themselves, read by ClickHouse and not through our API. The aggregator must have been stopped. Keys are as
 * the generator's report has them: source, destination, source port, destination port, protocol, vlan.
 */
export function storedFlows(storeFolder: string, direction: 'ingress' | 'egress'): Map<string, FlowStored> {
  const session = new Session(join(storeFolder, 'clickhouse'))
  try {
    const text = session.query(
      `SELECT
         replaceRegexpOne(toString(src_addr), '^::ffff:([0-9.]+)$', '\\\\1'),
         replaceRegexpOne(toString(dst_addr), '^::ffff:([0-9.]+)$', '\\\\1'),
         src_port, dst_port, protocol, vlan,
         sum(packets), sum(bytes), groupBitOr(tcp_flags), any(dscp), any(ttl), count()
       FROM flowdam.flows WHERE direction = '${direction}'
       GROUP BY src_addr, dst_addr, src_port, dst_port, protocol, vlan`,
      'TabSeparated',
    )
    return new Map(text.trimEnd().split('\n').filter(Boolean).map(readLine))
  } finally {
    session.close()
  }
}

function readLine(line: string): [string, FlowStored] {
  const fields = line.split('\t')
  const [packets = 0, bytes = 0, tcpFlags = 0, dscp = 0, ttl = 0, rows = 0] = fields.slice(6).map(Number)
  return [fields.slice(0, 6).join(' '), { packets, bytes, tcpFlags, dscp, ttl, rows }]
}
