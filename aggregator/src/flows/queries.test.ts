// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { QueryFlowsRequest } from '@flowdam/proto'
import { FlowQueries } from './queries.js'
import { Turns } from './turns.js'

const NOW = 1_700_000_000_000

describe('pages of flows', () => {
  const asked: Record<string, unknown>[] = []
  const store = {
    engine: { database: 'flowdam' },
    query: async <Row>(_sql: string, params: object) => {
      asked.push(params as Record<string, unknown>)
      return Array.from({ length: 3 }, (_, i) => ({ timeUnixMs: NOW - i, flows: 9 })) as Row[]
    },
  }
  const queries = new FlowQueries(store, new Turns())
  const request = (more: Partial<QueryFlowsRequest>) =>
    QueryFlowsRequest.fromPartial({ sinceUnixMs: NOW - 1000, untilUnixMs: NOW, limit: 3, port: 53, ...more })

  it('go on where the last one ended, and are of the request that they were begun with', async () => {
    const { nextPageToken } = await queries.query(request({}))
    await queries.query(request({ pageToken: nextPageToken }))
    assert.equal(asked.at(-2)?.['until'], NOW - 2)
    for (const other of [
      { host: '203.0.113.5' },
      { src: '203.0.113.5' },
      { dst: '203.0.113.5' },
      { protocol: 6 },
      { port: 443 },
      { agent: 'edge1' },
      { aggregate: true },
      { orderBy: 'bytes' },
    ]) {
      await assert.rejects(queries.query(request({ ...other, pageToken: nextPageToken })), {
        code: 'FD_ARGUMENT',
        field: 'page_token',
      })
    }
  })

  it('say which field is wrong', async () => {
    for (const [field, wrong] of [
      ['host', { host: 'nowhere' }],
      ['protocol', { protocol: 256 }],
      ['port', { port: 65_536 }],
      ['order_by', { orderBy: 'size' }],
      ['since_unix_ms', { sinceUnixMs: NOW + 1 }],
      ['page_token', { pageToken: 'nonsense' }],
    ] as const) {
      await assert.rejects(queries.query(request(wrong)), { field })
    }
  })
})
