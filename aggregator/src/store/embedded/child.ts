// SPDX-License-Identifier: Apache-2.0
//
// The process that runs the embedded ClickHouse, so that its memory, its crashes and its signal handlers are not the
// aggregator's. It lives as long as its parent: when the channel closes it ends at once, which loses nothing, for
// the parent's spool keeps what is not confirmed. It also ends when a write to a file fails (aggregator/native).
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
        `--storage_configuration.disks.default.keep_free_space_bytes=${settings.keepFreeBytes}`,
      ],
    })
    sessions.set(lane, session)
  }
  return session
}

/** Ends of what each lane does; a session takes one statement at a time. */
const tails = new Map<string, Promise<unknown>>()

function inLane<T>(lane: string, work: () => Promise<T>): Promise<T> {
  const turn = (tails.get(lane) ?? Promise.resolve()).then(work)
  tails.set(
    lane,
    turn.catch(() => undefined),
  )
  return turn
}

async function run({ lane, sql, params, rows }: ChildRequest): Promise<string> {
  const session = sessionOf(lane)
  if (rows !== undefined) {
    await session.queryAsync(`${sql} FORMAT JSONEachRow\n${rows}`)
    return ''
  }
  const options = { format: 'JSON' }
  // The library has statements with parameters wait for each other, in all sessions together.
  const bound = params && Object.keys(params).length > 0
  try {
    const result = await (bound
      ? session.queryBindAsync(sql, params, options)
      : session.queryAsync(sql, options))
    return result.text()
  } catch (error) {
    // What a statement that failed had written already would stand before the next one's answer, and one that was ended
    // stay on the list of those under way.
    if (params) {
      sessions.delete(lane)
      session.close()
    }
    throw error
  }
}

process.on('message', (request: ChildRequest | 'stop') => {
  if (request === 'stop') {
    for (const session of sessions.values()) session.close()
    process.exit(0)
  }
  const { id } = request
  inLane(request.lane, () => run(request)).then(
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
