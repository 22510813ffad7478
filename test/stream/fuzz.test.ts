// SPDX-License-Identifier: Apache-2.0
//
// Hostile messages. FLOWDAM_FUZZ_MESSAGES says how many, FLOWDAM_FUZZ_SEED makes a run again.
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Boundary, PROTOCOL_VERSION, RECORD_SIZE, StreamRequest } from '@flowdam/proto'
import { waitFor } from '@flowdam/scripts/lab/wait'

const MESSAGES = Number(process.env['FLOWDAM_FUZZ_MESSAGES'] ?? 5_000)
const SEED = Number(process.env['FLOWDAM_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const STREAMS = 8
/** Messages in one write: after a bad one the server reads no more of a stream, so more would not count. */
const BURST = 16
/** Above what it needed after the first tenth. */
const GROWTH_BYTES = 96 << 20
const PATH = '/flowdam.v1.IngestService/Stream'

interface Report {
  /** Read from streams. */
  messages: number
  batches: number
  deltas: number
  rss: number
  heap: number
  connected: number
  agents: number
  drops: { stage: string; reason: string; count: number }[]
}

/** Marsaglia's xorshift32: fast, and the same for the same seed. */
function random(seed: number): (below: number) => number {
  let state = seed || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

function hello(agentId: string, bootId = 7): Buffer {
  return Buffer.from(
    StreamRequest.encode({
      message: {
        $case: 'hello',
        value: {
          protocolVersion: PROTOCOL_VERSION,
          agentId,
          bootId,
          version: 'fuzz',
          hostname: 'fuzz',
          kernel: 'fuzz',
          recordSize: RECORD_SIZE,
          interfaces: {
            interfaces: [
              {
                index: 0,
                name: 'eth0',
                ifindex: 2,
                boundary: Boundary.BOUNDARY_EXTERNAL,
                attachMode: 'native',
                speedBps: 0,
              },
            ],
          },
          nowUnixMs: Date.now(),
          oldestSeq: 0,
          ackedSeq: 0,
          runId: 1,
        },
      },
    }).finish(),
  )
}

const WELL_FORMED: Buffer[] = [
  hello('edge1'),
  ...(
    [
      { $case: 'interfaces', value: { interfaces: [] } },
      {
        $case: 'hostDeltas',
        value: {
          seq: 1,
          coversUs: 1e5,
          nowUnixMs: Date.now(),
          entries: Buffer.alloc(40 * 40, 3),
          incoming: undefined,
          outgoing: undefined,
        },
      },
      {
        $case: 'flowBatch',
        value: {
          bootId: 7,
          seq: 1,
          epochStartUnixMs: Date.now(),
          epochMs: 5000,
          records: Buffer.alloc(32 * RECORD_SIZE, 9),
          ledgers: [],
        },
      },
    ] as const
  ).map((message) => Buffer.from(StreamRequest.encode({ message } as StreamRequest).finish())),
]

function request(session: ClientHttp2Session): ClientHttp2Stream {
  const headers = { ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc', te: 'trailers' }
  const call = session.request(headers)
  call.on('error', () => undefined)
  call.resume()
  return call
}

describe(`${MESSAGES} hostile messages, seed ${SEED}`, { timeout: 300_000 }, () => {
  let server: ChildProcess
  let origin = ''
  const next = random(SEED)

  const report = async (): Promise<Report> => {
    server.send('report')
    const [answer] = (await once(server, 'message')) as [Report]
    return answer
  }

  const mutant = (): Buffer => {
    // Hello and interfaces are short: any scratch of theirs ends the stream.
    const bytes = Buffer.from(WELL_FORMED[next(60) === 0 ? next(2) : 2 + next(2)] as Buffer)
    // Most are only scratched, mostly inside: those get furthest, and the stream lives on.
    const kind = next(40)
    if (kind === 1) return bytes.subarray(0, next(bytes.length))
    if (kind === 2) return Buffer.from(Array.from({ length: next(64) }, () => next(256)))
    if (kind === 3) return Buffer.concat([bytes, bytes.subarray(next(bytes.length))])
    for (let flips = 1 + next(4); flips > 0; flips--) {
      bytes[next(60) === 0 ? next(bytes.length) : bytes.length - 1 - next(bytes.length >> 1)] = next(256)
    }
    return bytes
  }

  /** One stream until the server ends it. */
  const stream = async (session: ClientHttp2Session, agentId: string): Promise<void> => {
    const call = request(session)
    let open = true
    const closed = once(call, 'close').then(() => {
      open = false
    })
    // Most begin as a good agent would, so that what follows gets further.
    const chunks: Buffer[] = next(4) === 0 ? [] : [frame(hello(agentId, 1 + next(3)))]
    for (let writes = 0; open && writes < 100; writes++) {
      for (let i = 0; i < BURST; i++) chunks.push(frame(mutant()))
      const flushed = call.write(Buffer.concat(chunks.splice(0)))
      await Promise.race([flushed ? new Promise(setImmediate) : once(call, 'drain'), closed])
    }
    call.close()
    await closed
  }

  before(async () => {
    server = fork(new URL('./fuzz-server.js', import.meta.url), { execArgv: ['--expose-gc'] })
    const [{ port }] = (await once(server, 'message')) as [{ port: number }]
    origin = `http://127.0.0.1:${port}`
  })
  after(() => {
    server.kill('SIGKILL')
  })

  /** Over several connections at once, until the server has read so many messages in all. */
  const assault = async (messages: number): Promise<Report> => {
    let enough = false
    const attacker = async (number: number) => {
      while (!enough) {
        const session = connect(origin)
        session.on('error', () => undefined)
        for (let streams = 200; !enough && streams > 0 && !session.destroyed; streams--) {
          await stream(session, next(20) === 0 ? `hostile-${next(300)}` : `edge${number}`)
        }
        session.destroy()
      }
    }
    const attackers = Promise.all(Array.from({ length: STREAMS }, (_, number) => attacker(number)))
    while (!enough) {
      await sleep(200)
      enough = (await report()).messages >= messages
    }
    await attackers
    return await report()
  }

  it('neither end the process nor stay in its memory', async (test) => {
    const before = await assault(MESSAGES / 10)
    const after = await assault(MESSAGES)
    assert.equal(server.exitCode, null)
    assert.ok(after.drops.some(({ reason, count }) => reason === 'bad_message' && count > 100))
    const figures = [before, after]
      .map(({ rss, heap }) => `RSS ${rss >> 20} heap ${heap >> 20} MiB`)
      .join(', then ')
    assert.ok(after.rss - before.rss < GROWTH_BYTES, figures)
    test.diagnostic(`${after.messages} messages read; ${figures}; ${JSON.stringify(after.drops)}`)
  })

  it('HTTP/2 garbage, half requests and oversized messages end their connection only', async () => {
    const { port, hostname } = new URL(origin)
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    for (let i = 0; i < 2000; i++) {
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
    for (const length of [0xffffffff, 64 << 20, 9 << 20]) {
      const session = connect(origin)
      session.on('error', () => undefined)
      const call = request(session)
      const head = Buffer.alloc(5)
      head.writeUInt32BE(length, 1)
      // A status without a message comes in the response's headers, else in its trailers.
      const status = new Promise<unknown>((resolve) => {
        for (const event of ['response', 'trailers']) {
          call.on(event, (headers: Record<string, string>) => {
            if (headers['grpc-status'] !== undefined) resolve(headers['grpc-status'])
          })
        }
        call.on('close', () => resolve('closed'))
      })
      call.write(head)
      assert.equal(await status, '8', `a message of ${length} bytes`)
      session.destroy()
    }
    assert.equal(server.exitCode, null)
  })

  it('and an honest agent is served as ever', async () => {
    const session = connect(origin)
    const call = request(session)
    const first = once(call, 'data')
    call.write(frame(hello('honest')))
    await first
    const { connected } = await waitFor('the hostile streams to be gone', async () => {
      const now = await report()
      return now.connected === 1 ? now : undefined
    })
    assert.equal(connected, 1)
    session.destroy()
  })
})
