// SPDX-License-Identifier: Apache-2.0
//
// The process that runs the embedded ClickHouse, so that its memory, its crashes and its signal handlers are not the
// aggregator's. It lives as long as its parent: when the channel closes it ends at once, which loses nothing, for
// the parent's spool keeps what is not confirmed.
import { Session } from 'chdb'
import type { ChildRequest, ChildResponse, ChildSettings } from './protocol.js'

const settings = JSON.parse(process.argv[2] ?? '{}') as ChildSettings
const sessions = new Map<string, Session>()

function sessionOf(lane: string): Session {
  let session = sessions.get(lane)
  if (!session) {
    session = new Session(settings.path, {
      connectionArgs: [
        `--max_server_memory_usage=${settings.memoryBytes}`,
        '--mark_cache_size=268435456',
        '--uncompressed_cache_size=0',
      ],
    })
    sessions.set(lane, session)
  }
  return session
}

async function run({ lane, sql, params, rows }: ChildRequest): Promise<string> {
  const session = sessionOf(lane)
  if (rows !== undefined) {
    await session.queryAsync(`${sql} FORMAT JSONEachRow\n${rows}`)
    return ''
  }
  const options = { format: 'JSON' }
  const result = await (params
    ? session.queryBindAsync(sql, params, options)
    : session.queryAsync(sql, options))
  return result.text()
}

process.on('message', (request: ChildRequest | 'stop') => {
  if (request === 'stop') {
    for (const session of sessions.values()) session.close()
    process.exit(0)
  }
  const { id } = request
  run(request).then(
    (text) => reply({ id, text }),
    (error: Error & { clickhouseCode?: number }) =>
      reply({ id, error: { message: error.message, code: error.clickhouseCode } }),
  )
})

function reply(response: ChildResponse): void {
  if (process.connected) process.send?.(response)
}

process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
// Ctrl-C in a terminal goes to the whole group; the parent decides when this process ends.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)
