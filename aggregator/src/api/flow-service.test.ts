// SPDX-License-Identifier: Apache-2.0
//
// Over a real connection: whatever ends a call, its statement hears of it, and the place is free for the next.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  FlowServiceClient,
  FlowServiceService,
  QueryFlowsRequest,
  StreamFlowsRequest,
  TopTalkersRequest,
} from '@flowdam/proto'
import {
  type ClientUnaryCall,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import type { LiveFlows } from '../flows/live/live-flows.js'
import { FlowQueries } from '../flows/queries.js'
import { TalkerQueries } from '../flows/talkers.js'
import { Turns } from '../flows/turns.js'
import { type QueryLimits, StoreFailure } from '../store/engine.js'
import { until } from '../testing/daemon.js'
import { quietLog } from '../testing/quiet-log.js'
import { flowService } from './flow-service.js'

type Answer = (error: ServiceError | null) => void

describe('a call of the flow service that nobody waits for', { timeout: 60_000 }, () => {
  const server = new Server()
  const turns = new Turns(1, 4)
  /** Limits of each statement, in order; statements answer only when they are not wanted any more. */
  const asked: QueryLimits[] = []
  let underWay = 0
  const store = {
    engine: { database: 'flowdam' },
    rollups: undefined,
    retentionMs: { flows: 1e9, minutes: 1e9 },
    query: <Row>(_sql: string, _params: object, limits: QueryLimits) => {
      asked.push(limits)
      underWay++
      return new Promise<Row[]>((_resolve, reject) => {
        const end = () => {
          underWay--
          reject(new StoreFailure('retry', 'Query was cancelled', { code: 394 }))
        }
        limits.signal?.addEventListener('abort', end)
      })
    },
  }
  let client: FlowServiceClient

  before(async () => {
    const answers = {
      flows: new FlowQueries(store, turns),
      talkers: new TalkerQueries(store, turns),
      live: {} as LiveFlows,
    }
    server.addService(FlowServiceService, flowService(answers, quietLog()))
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    )
    client = new FlowServiceClient(`127.0.0.1:${port}`, credentials.createInsecure())
  })
  after(() => {
    client.close()
    server.forceShutdown()
  })

  const calls: Record<
    string,
    (deadline: number | undefined, answer: Answer) => Pick<ClientUnaryCall, 'cancel'>
  > = {
    QueryFlows: (deadline, answer) =>
      client.queryFlows(
        QueryFlowsRequest.create(),
        new Metadata(),
        { ...(deadline && { deadline }) },
        answer,
      ),
    TopTalkers: (deadline, answer) =>
      client.topTalkers(
        TopTalkersRequest.create(),
        new Metadata(),
        { ...(deadline && { deadline }) },
        answer,
      ),
    StreamFlows: (deadline, answer) => {
      const call = client.streamFlows(StreamFlowsRequest.create(), new Metadata(), {
        ...(deadline && { deadline }),
      })
      call.on('error', answer)
      call.resume()
      return call
    },
  }

  for (const [name, call] of Object.entries(calls)) {
    for (const [how, expected] of [
      ['is cancelled', status.CANCELLED],
      ['has passed its deadline', status.DEADLINE_EXCEEDED],
    ] as const) {
      it(`ends its statement: ${name} ${how}`, async () => {
        const before = asked.length
        const deadline = expected === status.CANCELLED ? undefined : Date.now() + 1000
        const code = new Promise<status | undefined>((resolve) => {
          const under = call(deadline, (error) => resolve(error?.code))
          void until('the statement', () => asked.length > before).then(() => {
            if (deadline === undefined) under.cancel()
          })
        })
        assert.equal(await code, expected)
        await until('the end of the statement', () => underWay === 0)
        assert.equal(asked.length, before + 1)
        const { timeoutMs } = asked.at(-1) as QueryLimits
        assert.ok(name === 'StreamFlows' || deadline === undefined || timeoutMs <= 1000, `${timeoutMs} ms`)
      })
    }
  }

  it('has no turn when it was gone before', async () => {
    const before = asked.length
    const first = client.queryFlows(QueryFlowsRequest.create(), () => undefined)
    await until('the statement', () => asked.length > before)
    const codes: (status | undefined)[] = []
    const second = client.topTalkers(TopTalkersRequest.create(), (error) => codes.push(error?.code))
    const third = client.queryFlows(QueryFlowsRequest.create(), (error) => codes.push(error?.code))
    // The server knows of the second when it has answered something that came behind it.
    await new Promise<void>((resolve) =>
      client.queryFlows(QueryFlowsRequest.create({ port: 70_000 }), (error) => {
        assert.equal(error?.code, status.INVALID_ARGUMENT)
        resolve()
      }),
    )
    second.cancel()
    await until('the second to be gone', () => codes.length === 1)
    first.cancel()
    await until("the third's statement", () => asked.length === before + 2)
    third.cancel()
    await until('the end of all', () => underWay === 0 && codes.length === 2)
    assert.equal(asked.length, before + 2)
  })
})
