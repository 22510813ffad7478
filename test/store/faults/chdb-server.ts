// SPDX-License-Identifier: Apache-2.0
//
// A ClickHouse server of today, as far as a writer can tell: the HTTP interface in front of chdb, in one process, so
// that a SIGKILL is the whole server's. Debian's server is of 2018 and has no tokens; this one has the real
// deduplication. As a program: `node chdb-server.js FOLDER PORT` prints a line when it serves.
import { createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { Session } from 'chdb'

const [folder = '', port = '0'] = process.argv.slice(2)
const BODIES = join(folder, 'bodies')
/** Where an insert reads what follows it, and how that is written in the statement. */
const INPUT = /input\('((?:[^'\\]|\\.)*)'\)(.*) FORMAT RowBinary$/s

const idle: Session[] = []
let bodies = 0

/** One session runs one statement at a time. */
async function withSession<T>(work: (session: Session) => Promise<T>): Promise<T> {
  const session = idle.pop() ?? new Session(join(folder, 'clickhouse'))
  try {
    return await work(session)
  } finally {
    idle.push(session)
  }
}

async function answer(request: IncomingMessage): Promise<string> {
  const { searchParams } = new URL(request.url ?? '/', 'http://server')
  const query = searchParams.get('query') ?? ''
  const params: Record<string, string> = {}
  for (const [name, value] of searchParams)
    if (name.startsWith('param_')) params[name.slice(6)] = value.replaceAll('\\\\', '\\')
  const reading = INPUT.exec(query)
  if (!reading) {
    const body = await text(request)
    const sql = query === '' ? body : `${query}\n${body}`
    return withSession(async (session) => (await session.queryBindAsync(sql, params)).text())
  }
  const body = join(BODIES, String(++bodies))
  try {
    // Rejects when the client goes away in the middle: then nothing is inserted, as on a real server.
    await pipeline(request, createWriteStream(body))
    const file = `file('${body}', 'RowBinary', '${reading[1]}')${reading[2]}`
    await withSession((session) => session.queryAsync(query.slice(0, reading.index) + file))
    return ''
  } finally {
    await rm(body, { force: true })
  }
}

await mkdir(BODIES, { recursive: true })
createServer((request, response) => {
  answer(request).then(
    (result) => response.end(result),
    ({ message }: Error) => {
      const code = /^Code: (\d+)/.exec(message)?.[1] ?? '1002'
      response.writeHead(500, { 'x-clickhouse-exception-code': code }).end(message)
    },
  )
}).listen(Number(port), '127.0.0.1', () => process.stdout.write('serves\n'))
