// SPDX-License-Identifier: Apache-2.0
//
// Hostile messages against ingest with the real detector and spool behind it, an honest agent beside them.
// FLOWDAM_FUZZ_MESSAGES says how many, FLOWDAM_FUZZ_SEED makes a run again.
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '@flowdam/scripts/lab/wait'
import type { Report } from './fuzz-server.js'
import { frame, Hostile, hello, random } from './hostile.js'
import { Sender } from './stand.js'

const MESSAGES = Number(process.env['FLOWDAM_FUZZ_MESSAGES'] ?? 60_000)
const SEED = Number(process.env['FLOWDAM_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const SESSIONS = 4
const STREAMS = 6
/** Of one connection, before the attacker makes another; nghttp2 ends one that has reset a thousand streams. */
const STREAMS_PER_SESSION = 500
/** Of one stream, if it lives so long. */
const MOST_MESSAGES = 200
const BURST = 20
/** Above what it needed after the first fifth. */
const GROWTH_BYTES = 96 << 20
const MIB = 1 << 20
/** Connections of garbage. */
const AT_ONCE = 20
const PATH = '/flowdam.v1.IngestService/Stream'

function request(session: ClientHttp2Session): ClientHttp2Stream {
  const headers = {
    ':method': 'POST',
    ':path': PATH,
    'content-type': 'application/grpc',
    'grpc-encoding': 'gzip',
    te: 'trailers',
  }
  const call = session.request(headers)
  call.on('error', () => undefined)
  call.resume()
  return call
}

/** How the server ended a stream: gRPC's status and message, or `reset N`. */
function outcome(call: ClientHttp2Stream): Promise<string> {
  return new Promise((resolve) => {
    const read = (headers: Record<string, unknown>) => {
      const status = headers['grpc-status']
      if (status !== undefined) resolve(`${status} ${decodeURI(String(headers['grpc-message'] ?? ''))}`)
    }
    // A status without a message comes in the response's headers, else in its trailers.
    call.on('response', read)
    call.on('trailers', read)
    call.on('close', () => resolve(`reset ${call.rstCode}`))
  })
}

function countOf(drops: Report['drops'], reason: string): number {
  return drops.find((one) => one.stage === 'ingest' && one.reason === reason)?.count ?? 0
}

/** The counter that must know of it. */
const REASONS: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^[39] FD_(HELLO|PROTOCOL_VERSION|RECORD_SIZE|AGENT_ID|BOOT_ID|INTERFACE)/, 'bad_hello'],
  [/^3 FD_BATCH/, 'bad_batch'],
  [/^3 FD_DELTAS/, 'bad_deltas'],
  [/^3 FD_HEARTBEAT/, 'bad_heartbeat'],
  [/^8 FD_AGENTS/, 'too_many_agents'],
  [/^10 FD_REPLACED/, 'replaced'],
  [/^3 FD_MESSAGE/, 'bad_message'],
  // Too large or compressed.
  [new RegExp(`^reset ${constants.NGHTTP2_ENHANCE_YOUR_CALM}`), 'reset'],
  [/^0 /, 'none'],
]

describe(`${MESSAGES} hostile messages, seed ${SEED}`, { timeout: 1_200_000 }, () => {
  let server: ChildProcess
  let origin = ''
  let logLines = 0
  let honest: Sender
  let honestRecords = 0
  let honestTimer: NodeJS.Timeout
  const next = random(SEED)
  const hostile = new Hostile(next)
  /** Before the first attack. */
  let quiet: Report | undefined
  const ended = new Map<string, number>()

  const report = async (): Promise<Report> => {
    const answer = once(server, 'message') as Promise<[Report]>
    server.send('report')
    return (await answer)[0]
  }

  /** One stream until the server ends it, or the attacker has enough and waits for what the server says to it all. */
  const stream = async (session: ClientHttp2Session, agentId: string): Promise<void> => {
    const call = request(session)
    let open = true
    const end = outcome(call).then((text) => {
      open = false
      return text
    })
    const chunks = hostile.opening(agentId)
    for (let messages = 0; open && messages < MOST_MESSAGES; messages += BURST) {
      for (let i = 0; i < BURST; i++) chunks.push(hostile.message())
      const flushed = call.write(Buffer.concat(chunks.splice(0)))
      await Promise.race([new Promise((go) => (flushed ? setImmediate(go) : call.once('drain', go))), end])
    }
    // Never closed from here while data waits: Node 20's client then sends empty frames for ever, or corrupts its heap.
    call.end()
    const text = await end
    const reason = REASONS.find(([pattern]) => pattern.test(text))?.[1] ?? text
    ended.set(reason, (ended.get(reason) ?? 0) + 1)
  }

  /** Over several connections at once, until the server has read so many messages in all. */
  const assault = async (messages: number): Promise<Report> => {
    let enough = false
    const attacker = async (session: ClientHttp2Session, name: string) => {
      for (let left = STREAMS_PER_SESSION / STREAMS; !enough && left > 0 && !session.destroyed; left--) {
        await stream(session, next(20) === 0 ? `hostile-${next(300)}` : name)
      }
    }
    const connection = async (number: number) => {
      while (!enough) {
        const session = connect(origin)
        session.on('error', () => undefined)
        await Promise.all(
          Array.from({ length: STREAMS }, (_, at) => attacker(session, `edge${number}-${at}`)),
        )
        session.close()
      }
    }
    const attackers = Promise.all(Array.from({ length: SESSIONS }, (_, number) => connection(number)))
    while (!enough) {
      await sleep(500)
      enough = (await report()).messages >= messages
    }
    await attackers
    return await report()
  }

  before(async () => {
    server = fork(new URL('./fuzz-server.js', import.meta.url), {
      execArgv: ['--expose-gc'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { ...process.env, FLOWDAM_LOG: 'info' },
    })
    server.stderr?.on('data', (chunk: Buffer) => {
      for (const byte of chunk) if (byte === 10) logLines++
      if (/FD_INTERNAL|stream failed|Error:/.test(chunk.toString())) process.stderr.write(chunk)
    })
    const [{ port }] = (await once(server, 'message')) as [{ port: number }]
    origin = `http://127.0.0.1:${port}`
    honest = new Sender({ targets: [`127.0.0.1:${port}`], agentId: 'honest', bootId: 1 })
    honest.start()
    honestTimer = setInterval(() => {
      honest.push(100)
      honestRecords += 100
      honest.deltas.add(1000)
      honest.uplink.sendDeltas()
    }, 20)
  })
  after(async () => {
    clearInterval(honestTimer)
    await honest.stop()
    // It removes its folder.
    if (server.exitCode === null) {
      const gone = once(server, 'exit')
      server.disconnect()
      await gone
    }
  })

  it('end no process, stay in no memory, and each is counted by its reason', async (test) => {
    const idle = await report()
    quiet = idle
    const began = performance.now()
    const early = await assault(MESSAGES / 5)
    const late = await assault(MESSAGES)
    const seconds = (performance.now() - began) / 1000
    const show = ({ rss, heap, files, timers }: Report) =>
      `RSS ${Math.round(rss / MIB)} heap ${Math.round(heap / MIB)} MiB, ${files} files, ${timers} timers`
    test.diagnostic(
      `${late.messages} messages in ${seconds.toFixed(1)} s, ${Math.round(late.messages / seconds)}/s`,
    )
    test.diagnostic(`idle: ${show(idle)}; after a fifth: ${show(early)}; at the end: ${show(late)}`)
    const dropped = (reason: string) => (reason === 'replaced' ? late.replaced : countOf(late.drops, reason))
    const text = JSON.stringify({ ended: Object.fromEntries(ended), drops: late.drops })
    test.diagnostic(`${text} ${late.detections} detections, ${logLines} log lines`)
    assert.equal(server.exitCode, null)
    assert.ok(late.statusBytes > 0 && late.agentsBytes > 0)
    assert.ok(late.rss - early.rss < GROWTH_BYTES, `${show(early)}, then ${show(late)}`)
    const unknown = [...ended.keys()].filter((key) => !REASONS.some(([, reason]) => reason === key))
    assert.deepEqual(unknown, [], text)
    for (const [, reason] of REASONS) {
      if (reason === 'none') continue
      const seen = ended.get(reason) ?? 0
      if (reason === 'reset') {
        // HTTP/2 itself resets with the same code while a connection holds more than its share of memory.
        const counted = dropped('too_large') + dropped('compressed')
        assert.ok(counted <= seen && counted >= seen * 0.9 - 1, text)
      } else {
        // A stream that was refused and reset before it could hear of that is counted under both reasons.
        const most = seen + (ended.get('reset') ?? 0)
        assert.ok(dropped(reason) >= seen && dropped(reason) <= most, `${reason}: ${text}`)
      }
    }
    assert.ok((ended.get('bad_message') ?? 0) > 0 && (ended.get('bad_hello') ?? 0) > 0, text)
    assert.ok(logLines < 200 + 25 * seconds, `${logLines} log lines in ${seconds} s`)
  })

  it('floods of Hello, under one name and under thousands', async (test) => {
    const streams = Math.min(6000, MESSAGES / 20)
    const before = await report()
    const ends = new Map<string, number>()
    const greet = async (agentId: string, session: ClientHttp2Session) => {
      const call = request(session)
      const end = outcome(call)
      call.write(frame(hello(agentId)))
      // The half that shares a name stays until another takes it over.
      if (agentId !== 'flood' || session !== flood) call.end()
      const text = (await end).slice(0, 12)
      call.end()
      ends.set(text, (ends.get(text) ?? 0) + 1)
    }
    const flood = connect(origin)
    const waiting: Promise<void>[] = []
    for (let i = 0; i < streams; i++) {
      waiting.push(greet(i % 2 === 0 ? 'flood' : `flood-${i}`, flood))
      if (waiting.length > 60) await waiting.shift()
    }
    const left = connect(origin)
    await greet('flood', left)
    left.close()
    await Promise.all(waiting)
    flood.close()
    const { drops, agents, replaced } = await report()
    const grown = (reason: string) => countOf(drops, reason) - countOf(before.drops, reason)
    test.diagnostic(`${streams} of Hello, ${agents} agents: ${JSON.stringify([...ends])}`)
    assert.equal(replaced - before.replaced, ends.get('10 FD_REPLAC') ?? 0)
    assert.equal(grown('too_many_agents'), ends.get('8 FD_AGENTS:') ?? 0)
    assert.ok(replaced - before.replaced > streams / 3)
  })

  it('and all of them gone, nothing of theirs is left: no stream, no socket, no timer', async () => {
    // A segment being written may be a file more than before.
    const spare = 3
    await waitFor(`no more files and timers than ${quiet?.files} and ${quiet?.timers}`, async () => {
      const { connected, files, timers } = await report()
      if (!quiet || connected !== 1) return undefined
      return files <= quiet.files + spare && timers <= quiet.timers + spare ? true : undefined
    })
  })

  it('the honest agent had one stream all the time, and lost nothing', async () => {
    clearInterval(honestTimer)
    honest.uplink.sendDeltas()
    const { honestRecords: stored } = await waitFor('its last records', async () => {
      const now = await report()
      return now.honestRecords >= honestRecords && now.honestPackets >= honest.deltas.made ? now : undefined
    })
    const final = await report()
    assert.equal(stored, honestRecords)
    assert.equal(final.honestPackets, honest.deltas.made)
    assert.deepEqual(
      { ...honest.uplink.stats, sent: 0 }.disconnects,
      0,
      'its stream must not end for what others do',
    )
    assert.equal(honest.queue.batches, 0)
  })

  it('HTTP/2 garbage, half requests and oversized messages end their connection only', async () => {
    const { port, hostname } = new URL(origin)
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    const connection = async () => {
      const socket = connectTcp(Number(port), hostname)
      const closed = new Promise((resolve) => socket.once('close', resolve))
      socket.on('error', () => undefined)
      const noise = Buffer.from(Array.from({ length: 1 + next(400) }, () => next(256)))
      socket.end(next(3) === 0 ? noise : Buffer.concat([preface, noise]))
      socket.resume()
      // Whoever says nothing more is not waited for.
      setTimeout(() => socket.destroy(), 20)
      await closed
    }
    for (let left = 2000; left > 0; left -= AT_ONCE)
      await Promise.all(Array.from({ length: AT_ONCE }, connection))
    assert.equal(server.exitCode, null)
    const session = connect(origin)
    const call = request(session)
    const first = once(call, 'data')
    call.write(frame(hello('late')))
    await first
    session.destroy()
  })
})
