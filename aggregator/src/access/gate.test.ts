// SPDX-License-Identifier: Apache-2.0
//
// A real server and real clients; behind the gate only a service that says that it was reached.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import * as proto from '@flowdam/proto'
import {
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { HealthService, reflectionServices } from '../api/standard-services.js'
import { unary } from '../api/status-error.js'
import { aggregatorSchema } from '../config/schema.js'
import { DropCounter } from '../drops.js'
import { anyPort, GrpcEndpoint } from '../grpc/endpoint.js'
import { until } from '../testing/daemon.js'
import { quietLog } from '../testing/quiet-log.js'
import { ApiAccess } from './access.js'
import { callerOf } from './caller.js'
import { ACCESS, ROLES, type Role } from './roles.js'
import { hashToken } from './tokens.js'

const log = quietLog()

const SERVICES: ServiceDefinition[] = [
  ...Object.entries(proto).flatMap(([name, value]) =>
    name.endsWith('ServiceService') ? [value as ServiceDefinition] : [],
  ),
  ...proto.FASTNETMON_PACKAGES.map(proto.fastNetMonService),
  ...[...new HealthService([]).services, ...reflectionServices()].map(([definition]) => definition),
]
const METHODS = SERVICES.flatMap((service) => Object.values(service))
const TOKENS: Record<Role, string> = {
  read: 'token-of-a-dashboard-0123456789',
  operate: 'token-of-the-noc-0123456789',
  admin: 'token-of-an-admin-0123456789',
}
const EXPIRED = 'token-of-last-year-0123456789'

interface Stand {
  access: ApiAccess
  client: Client
  /** The lines of the audit file. */
  audit: () => Record<string, unknown>[]
  stop: () => Promise<void>
}

async function stand(folder: string, api: object): Promise<Stand> {
  const state = mkdtempSync(join(folder, 'state-'))
  const config = aggregatorSchema.parse({ networks: ['203.0.113.0/24'], state, api })
  const access = new ApiAccess(config, log)
  const endpoint = new GrpcEndpoint({
    listen: anyPort(),
    interceptors: [access.gate.interceptor],
    drops: new DropCounter(),
    log,
  })
  for (const service of SERVICES) {
    endpoint.add(
      access.gate.guarded(service),
      Object.fromEntries(
        Object.entries(service).map(([name, { responseStream }]) => [
          name,
          // A watch stays open; everything else says that it was reached.
          responseStream && name !== 'streamFlows'
            ? () => undefined
            : (call: { metadata: Metadata }, callback?: (error: object) => void) => {
                const access = ACCESS[(service[name] as MethodDefinition<object, object>).path]
                const by = access?.role === 'open' ? 'anybody' : callerOf(call.metadata).by
                callback?.({ code: status.ABORTED, details: `reached by ${by}` })
              },
        ]),
      ),
    )
  }
  access.start()
  await endpoint.start()
  const client = new Client(`127.0.0.1:${endpoint.address.port}`, credentials.createInsecure())
  return {
    access,
    client,
    audit: () =>
      readFileSync(join(state, 'audit.jsonl'), 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    stop: async () => {
      client.close()
      await endpoint.stop()
      access.stop()
    },
  }
}

function bearer(token?: string): Metadata {
  const metadata = new Metadata()
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`)
  return metadata
}

/** The error of a unary call with these bytes as its request. */
function call(
  client: Client,
  path: string,
  metadata: Metadata,
  bytes = Buffer.alloc(0),
): Promise<ServiceError> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      (request: Buffer) => request,
      (answer) => answer,
      bytes,
      metadata,
      { deadline: Date.now() + 30_000 },
      (error) => (error ? resolve(error) : reject(new Error('it was answered'))),
    )
  })
}

function detailsOf(error: ServiceError): proto.RpcStatus {
  return proto.RpcStatus.decode(error.metadata.get('grpc-status-details-bin')[0] as Buffer)
}

const ADD = '/flowdam.v1.BanService/AddBan'
const LIST = '/flowdam.v1.BanService/ListBans'
const WATCH = '/flowdam.v1.BanService/WatchBans'

describe('the gate', { timeout: 300_000 }, () => {
  let folder: string
  let tokens: string
  let s: Stand | undefined
  const open = async (api: object = {}): Promise<Stand> => {
    s = await stand(folder, { tokens, ...api })
    return s
  }

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'flowdam-gate-'))
    tokens = join(folder, 'tokens')
    const line = (name: string, role: string, token: string) =>
      `${name} ${role} sha256:${hashToken(token).toString('hex')}`
    writeFileSync(
      tokens,
      [
        ...ROLES.map((role) => line(role, role, TOKENS[role])),
        `${line('old', 'admin', EXPIRED)} until=2020-01-01`,
      ].join('\n'),
    )
  })
  afterEach(async () => {
    await s?.stop()
    s = undefined
  })
  after(() => rmSync(folder, { recursive: true }))

  it('has a role for every method of every service, and for nothing else', () => {
    assert.ok(METHODS.length > 25)
    assert.deepEqual(METHODS.map(({ path }) => path).sort(), Object.keys(ACCESS).sort())
  })

  it('lets each role do what the list says and no more', async () => {
    const { client, access } = await open({ limits: { calls: 1000, burst: 1000 } })
    for (const { path, requestStream, responseStream } of METHODS) {
      const needed = ACCESS[path]?.role as Role
      if (requestStream || responseStream || !ROLES.includes(needed)) continue
      for (const role of ROLES) {
        const { code, details } = await call(client, path, bearer(TOKENS[role]))
        const may = ROLES.indexOf(role) >= ROLES.indexOf(needed)
        assert.equal(code, may ? status.ABORTED : status.PERMISSION_DENIED, `${role} ${path}: ${details}`)
        assert.match(details, may ? new RegExp(`^reached by token:${role}$`) : /^FD_API_ROLE: /)
      }
    }
    assert.ok(access.counts.refused('role') > 3)
  })

  it('refuses who shows no token that is in force, and says nothing of what was shown', async () => {
    const { client, access, audit } = await open()
    const basic = new Metadata()
    basic.set('authorization', `Basic ${TOKENS.admin}`)
    const shown = [bearer(), bearer('guess-guess-guess'), bearer(''), bearer(EXPIRED), basic]
    for (const metadata of shown) {
      const error = await call(client, ADD, metadata)
      assert.equal(error.code, status.UNAUTHENTICATED)
      assert.match(error.details, /^FD_API_UNAUTHENTICATED: /)
      const [info] = detailsOf(error).details
      assert.equal(info?.typeUrl, 'type.googleapis.com/google.rpc.ErrorInfo')
      const { reason, domain } = proto.ErrorInfo.decode(info?.value ?? Buffer.alloc(0))
      assert.deepEqual([reason, domain], ['FD_API_UNAUTHENTICATED', 'flowdam'])
    }
    assert.equal(access.counts.refused('unauthenticated'), shown.length)
    assert.equal(audit().length, shown.length)
    const text = JSON.stringify(audit())
    for (const secret of [...Object.values(TOKENS), EXPIRED, 'guess-guess-guess'])
      assert.ok(!text.includes(secret))
  })

  it('asks a probe for nothing', async () => {
    const { client } = await open()
    assert.equal((await call(client, '/grpc.health.v1.Health/Check', bearer())).details, 'reached by anybody')
  })

  it('without tokens, on loopback, lets everybody do everything', async () => {
    const { client } = await open({ tokens: undefined })
    assert.equal((await call(client, ADD, bearer())).details, 'reached by local')
    // A client that has a token set for another aggregator is none the worse.
    assert.equal((await call(client, ADD, bearer('of-another'))).details, 'reached by local')
  })

  it('refuses what is no message or too large, counts and writes it down', async () => {
    const { client, access, audit } = await open({ limits: { message: '4KiB' } })
    const malformed = await call(client, ADD, bearer(TOKENS.operate), Buffer.from([0x0a, 0xff, 0xff, 0x01]))
    assert.equal(malformed.code, status.INVALID_ARGUMENT)
    assert.match(malformed.details, /^FD_API_MALFORMED: /)
    const request = proto.AddBanRequest.fromPartial({ prefix: '203.0.113.9', reason: 'x'.repeat(5000) })
    const bytes = Buffer.from(proto.AddBanRequest.encode(request).finish())
    const large = await call(client, ADD, bearer(TOKENS.operate), bytes)
    assert.equal(large.code, status.RESOURCE_EXHAUSTED)
    assert.match(large.details, /^FD_API_MESSAGE_SIZE: /)
    assert.deepEqual([access.counts.refused('malformed'), access.counts.refused('message_size')], [1, 1])
    assert.deepEqual(
      audit().map(({ by, method, status }) => [by, method, status]),
      [
        ['token:operate', 'flowdam.v1.BanService/AddBan', 'INVALID_ARGUMENT'],
        ['token:operate', 'flowdam.v1.BanService/AddBan', 'RESOURCE_EXHAUSTED'],
      ],
    )
  })

  it('limits calls for each caller, and says when to try again', async () => {
    const { client, access } = await open({ limits: { calls: 1, burst: 3 } })
    /** All at once: as many as the burst come through, and one more for each second that passed. */
    const tooMany = async (metadata: () => Metadata) => {
      const began = performance.now()
      const answers = await Promise.all(Array.from({ length: 40 }, () => call(client, LIST, metadata())))
      const most = 3 + Math.ceil((performance.now() - began) / 1000)
      const refused = answers.filter(({ details }) => details.startsWith('FD_API_RATE: '))
      const allowed = answers.length - refused.length
      assert.ok(allowed >= 3 && allowed <= most, `${allowed} of ${answers.length}, at most ${most}`)
      return refused
    }
    const [error, ...more] = await tooMany(() => bearer(TOKENS.read))
    assert.ok(error)
    assert.equal(error.code, status.RESOURCE_EXHAUSTED)
    const retry = detailsOf(error).details.find(({ typeUrl }) => typeUrl.endsWith('RetryInfo'))
    const { retryDelay } = proto.RetryInfo.decode(retry?.value ?? Buffer.alloc(0))
    const waitMs = (retryDelay?.seconds ?? 0) * 1000 + (retryDelay?.nanos ?? 0) / 1e6
    assert.ok(waitMs > 0 && waitMs <= 1000, `${waitMs}`)
    // Another token has an allowance of its own.
    assert.equal((await call(client, LIST, bearer(TOKENS.admin))).code, status.ABORTED)
    assert.equal(access.counts.refused('rate'), 1 + more.length)
    // Who shows none has one allowance for each address, whatever they show.
    let guesses = 0
    await tooMany(() => bearer(`guess ${++guesses}`))
  })

  it('limits what a caller has open, and forgets it when the caller goes', async () => {
    const { client, access } = await open({ limits: { open: 2 } })
    const watch = () => {
      const stream = client.makeServerStreamRequest(
        WATCH,
        () => Buffer.alloc(0),
        (a) => a,
        {},
        bearer(TOKENS.read),
      )
      stream.on('error', () => undefined)
      return stream
    }
    const streams = [watch(), watch()]
    await until('two watches', () => access.counts.open === 2 || undefined)
    const refused = await call(client, LIST, bearer(TOKENS.read))
    assert.match(refused.details, /^FD_API_OPEN_CALLS: /)
    streams[0]?.cancel()
    await until('one watch', () => access.counts.open === 1 || undefined)
    assert.equal((await call(client, LIST, bearer(TOKENS.read))).code, status.ABORTED)
    streams[1]?.cancel()
    await until('none', () => access.counts.open === 0 || undefined)
  })

  it('ends what is open when its token is taken away, expires, or may less than before', async () => {
    const file = join(folder, 'tokens-that-change')
    const line = (name: string, more = '', role = 'read') =>
      `${name} ${role} sha256:${hashToken(`a-token-of-${name}`).toString('hex')}${more}\n`
    const validFor = (ms: number) => ` until=${new Date(Date.now() + ms).toISOString()}`
    writeFileSync(file, `${line('gone')}${line('stays')}${line('expires', validFor(3_600_000))}`)
    const { client, access } = await open({ tokens: file })
    const ends = new Map<string, string>()
    const streams = ['gone', 'stays', 'expires'].map((name) => {
      const stream = client.makeServerStreamRequest(
        WATCH,
        () => Buffer.alloc(0),
        (a) => a,
        {},
        bearer(`a-token-of-${name}`),
      )
      return stream.on('error', (error: ServiceError) => ends.set(name, status[error.code] ?? ''))
    })
    await until('three watches', () => access.counts.open === 3 || undefined)
    writeFileSync(file, `${line('stays', '', 'operate')}${line('expires', validFor(1500))}`)
    await until('two ends', () => ends.size === 2 || undefined)
    assert.deepEqual(Object.fromEntries(ends), { gone: 'UNAUTHENTICATED', expires: 'UNAUTHENTICATED' })
    assert.equal(access.counts.open, 1)
    streams[1]?.cancel()
    await until('none', () => access.counts.open === 0 || undefined)
  })

  it('writes down every change, done or not, with who did it and what was asked for', async () => {
    const { client, audit } = await open()
    const request = proto.AddBanRequest.fromPartial({ prefix: '203.0.113.9', who: 'alice' })
    const bytes = Buffer.from(proto.AddBanRequest.encode(request).finish())
    await call(client, ADD, bearer(TOKENS.operate), bytes)
    await call(client, LIST, bearer(TOKENS.operate))
    const [line, ...more] = await until('the line', () => (audit().length > 0 ? audit() : undefined))
    assert.equal(more.length, 0, 'reading is no change')
    assert.equal(line?.['by'], 'token:operate')
    assert.equal(line?.['who'], 'alice')
    assert.equal(line?.['status'], 'ABORTED')
    assert.match(String(line?.['error']), /^reached/)
    assert.equal(JSON.parse(String(line?.['request'])).prefix, '203.0.113.9')
    assert.match(String(line?.['peer']), /^127\.0\.0\.1:\d+$/)
  })
})

describe('unary()', () => {
  it('tells its work when nobody waits any more', async () => {
    const endpoint = new GrpcEndpoint({ listen: anyPort(), drops: new DropCounter(), log })
    let reached = false
    let stopped: () => void = () => {}
    const sawEnd = new Promise<void>((resolve) => {
      stopped = resolve
    })
    endpoint.add(
      { getBan: proto.BanServiceService.getBan },
      {
        getBan: unary(log, async (_request, _call, signal) => {
          reached = true
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
          stopped()
          return {}
        }),
      },
    )
    await endpoint.start()
    const client = new proto.BanServiceClient(
      `127.0.0.1:${endpoint.address.port}`,
      credentials.createInsecure(),
    )
    // A busy machine may need longer to bring the call to the service.
    for (let deadlineMs = 50; !reached; deadlineMs *= 4) {
      const error = await new Promise<ServiceError | null>((resolve) => {
        client.getBan({ id: 'x' }, new Metadata(), { deadline: Date.now() + deadlineMs }, resolve)
      })
      assert.equal(error?.code, status.DEADLINE_EXCEEDED)
    }
    await sawEnd
    client.close()
    await endpoint.stop()
  })
})
