// SPDX-License-Identifier: Apache-2.0
//
// What goes over HTTP to a server, and what its answers mean. The server here only records.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeRecords } from '../../testing/records.js'
import { StoreFailure } from '../engine.js'
import { insertStatement } from '../insert.js'
import { ClickHouseEngine } from './engine.js'

interface Seen {
  url: URL
  body: Buffer
  user: string | undefined
}

describe('ClickHouse over HTTP', { timeout: 300_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-http-'))
  const seen: Seen[] = []
  let answer: { status: number; headers: Record<string, string>; body: string } | 'hang up' = ok('')
  let server: Server
  let engine: ClickHouseEngine

  before(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const url = new URL(request.url ?? '', 'http://server')
        const user = request.headers.authorization
        seen.push({ url, body: Buffer.concat(chunks), user })
        if (answer === 'hang up') request.socket.destroy()
        else response.writeHead(answer.status, answer.headers).end(answer.body)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    engine = new ClickHouseEngine({
      url: `http://127.0.0.1:${port}`,
      database: 'flowdam',
      user: 'writer',
      password: 'geheim',
    })
    await engine.start()
  })
  after(async () => {
    await engine.stop()
    server.close()
    server.closeAllConnections()
    rmSync(folder, { recursive: true })
  })

  it('hears of what fails after the status was sent, with the first header of progress', async () => {
    answer = ok('')
    await engine.background('INSERT INTO t SELECT 1')
    for (const said of ['', '__exception__\r\n']) {
      answer = ok(`${said}Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)\n`)
      await assert.rejects(engine.background('INSERT INTO t SELECT 1'), {
        kind: 'crowded',
        code: 241,
        uncertain: true,
      })
    }
    answer = ok('')
  })

  const load = (file: string) =>
    engine.load(
      file,
      insertStatement(
        'flowdam.flows',
        {
          number: 7,
          id: '0000002a-7',
          key: 42n * 2n ** 32n + 7n,
          path: file,
          rows: 1000,
          bytes: 64_000,
          baseUnixMs: 1_700_000_000_000,
          createdUnixMs: 0,
          minUnixMs: 0,
          maxUnixMs: 0,
          days: [1_699_920_000_000],
          agents: new Set(['edge1']),
          recovered: false,
        },
        [{ number: 1, agent: "ed'ge\\1", interface: 'eth0', direction: 'ingress', boundary: 'external' }],
        1_699_920_000_000,
        '0000002a-7.0',
      ),
    )

  it('sends the file as it is, behind a statement that reads it', async () => {
    const file = join(folder, 'segment')
    const { records } = makeRecords(1000, 1)
    writeFileSync(file, records)
    seen.length = 0
    answer = ok('')
    await load(file)
    const [request] = seen
    const sql = request?.url.searchParams.get('query') ?? ''
    assert.match(
      sql,
      /^INSERT INTO flowdam\.flows \(time, .*\) SETTINGS insert_deduplication_token = '0000002a-7\.0-2023-11-14'/,
    )
    assert.match(sql, /FROM input\('src_addr IPv6, .*ttl UInt8'\) FORMAT RowBinary$/)
    assert.ok(sql.includes("'ed\\'ge\\\\1'"))
    assert.ok(sql.includes(String(42n * 2n ** 32n + 7n)))
    assert.deepEqual(request?.body, records)
    assert.ok(
      Buffer.from((request?.user ?? '').replace('Basic ', ''), 'base64').equals(Buffer.from('writer:geheim')),
    )
  })

  for (const [title, code, kind, uncertain] of [
    ['too many parts', 252, 'crowded', false],
    ['memory', 241, 'crowded', true],
    ['a full disk', 243, 'crowded', true],
    ['a full disk that nobody had expected', 75, 'crowded', true],
    ['too many queries', 202, 'crowded', false],
    ['a table that is not there', 60, 'schema', false],
    ['a column of another type', 53, 'schema', false],
    ['a missing right', 497, 'schema', false],
    ['an unknown column', 16, 'schema', false],
    ['a wrong password', 516, 'schema', false],
    ['half a record', 33, 'bad_data', true],
    ['a timeout of the server', 159, 'retry', true],
    ['a server that cannot reach another', 210, 'retry', true],
    ['what nobody thought of', 9999, 'retry', true],
  ] as const) {
    it(`${title} is '${kind}'`, async () => {
      answer = {
        status: 500,
        headers: { 'x-clickhouse-exception-code': String(code) },
        body: `Code: ${code}. DB::Exception: it says why. (SOME_NAME) (version 26.7)`,
      }
      await assert.rejects(load(join(folder, 'segment')), (error) => {
        assert.ok(error instanceof StoreFailure)
        assert.deepEqual([error.kind, error.uncertain, error.code], [kind, uncertain, code])
        assert.match(error.message, /it says why/)
        return true
      })
    })
  }

  it('a connection that breaks leaves it open whether the rows are there', async () => {
    answer = 'hang up'
    await assert.rejects(load(join(folder, 'segment')), (error) => {
      assert.ok(error instanceof StoreFailure)
      assert.deepEqual([error.kind, error.uncertain], ['retry', true])
      return true
    })
  })

  it('binds what people give as parameters', async () => {
    answer = ok(
      '{"meta":[],"data":[{"n":1}],"rows":1,"statistics":{"elapsed":0.1,"rows_read":7,"bytes_read":9}}',
    )
    seen.length = 0
    let read = 0
    const onRead = (count: number) => {
      read += count
    }
    const rows = await engine.query(
      'SELECT {x:String} AS n',
      { x: "' OR 1" },
      { timeoutMs: 5000, maxMemoryBytes: 1e8, onRead },
    )
    assert.deepEqual(rows, [{ n: 1 }])
    assert.equal(read, 7)
    // ClickHouse reads parameters in its escaped form.
    assert.equal(seen[0]?.url.searchParams.get('param_x'), "\\' OR 1")
    assert.equal(seen[0]?.url.searchParams.get('max_execution_time'), '5')
    assert.match(seen[0]?.body.toString() ?? '', /^SELECT \{x:String\} AS n/)
  })
})

function ok(body: string) {
  return { status: 200, headers: { 'content-type': 'text/plain' }, body }
}
