// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RpcStatus } from '@flowdam/proto'
import {
  type ClientReadableStream,
  credentials,
  makeClientConstructor,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { until } from '../testing/daemon.js'
import { quietLog } from '../testing/quiet-log.js'
import { sendEvents } from './watch.js'

const json = {
  serialize: (value: object) => Buffer.from(JSON.stringify(value)),
  deserialize: (bytes: Buffer) => JSON.parse(bytes.toString()) as object,
}
const DEFINITION: ServiceDefinition = {
  watch: {
    path: '/test/Watch',
    requestStream: false,
    responseStream: true,
    requestSerialize: json.serialize,
    requestDeserialize: json.deserialize,
    responseSerialize: json.serialize,
    responseDeserialize: json.deserialize,
  },
}
const Client = makeClientConstructor(DEFINITION, 'Test')
type Event = { n: number; padding?: string }

/** A real server that sends `state`, and events when it is told to. */
async function stand(state: number) {
  const server = new Server()
  const listeners = new Set<(event: Event) => void>()
  server.addService(DEFINITION, {
    watch: (call: ServerWritableStream<object, Event>) =>
      sendEvents(call, quietLog(), {
        state: () => Array.from({ length: state }, (_, n) => ({ n })),
        watch: (send) => {
          listeners.add(send)
          return () => listeners.delete(send)
        },
      }),
  })
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  )
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  const seen: Event[] = []
  let error: ServiceError | undefined
  const open = client['watch'] as (request: object) => ClientReadableStream<Event>
  const call = open.call(client, {})
  call.on('data', (event: Event) => seen.push(event))
  call.on('error', (why: ServiceError) => {
    error = why
  })
  return {
    listeners,
    call,
    seen,
    error: () => error,
    tell: (event: Event) => {
      for (const listener of listeners) listener(event)
    },
    stop: () => {
      client.close()
      server.forceShutdown()
    },
  }
}

describe('a watch', { timeout: 60_000 }, () => {
  it('begins with all of the state, however much, and goes on with every event, in order', async () => {
    const s = await stand(5000)
    try {
      await until('the watch', () => s.listeners.size === 1)
      for (let n = 5000; n < 5900; n++) s.tell({ n })
      await until('all of it', () => s.seen.length === 5900)
      assert.deepEqual(
        s.seen.map(({ n }) => n),
        Array.from({ length: 5900 }, (_, n) => n),
      )
      s.call.cancel()
      await until('the end', () => s.listeners.size === 0)
    } finally {
      s.stop()
    }
  })

  it('that nobody reads holds so many events and ends then, with what to do', async () => {
    const s = await stand(3)
    try {
      await until('the state', () => s.seen.length === 3)
      s.call.pause()
      // More than any window holds, so that it does not get away.
      const padding = 'x'.repeat(100_000)
      let told = 0
      while (s.listeners.size > 0 && told < 20_000) {
        s.tell({ n: told++, padding })
        if (told % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      assert.ok(told > 1000 && told < 10_000, `${told} events`)
      s.call.resume()
      const error = await until('the error', s.error)
      assert.equal(error.code, status.RESOURCE_EXHAUSTED)
      assert.match(error.details, /^FD_WATCH_SLOW: 1000 events waited .* \(begin anew: /)
      const rpc = RpcStatus.decode(error.metadata.get('grpc-status-details-bin')[0] as Buffer)
      assert.deepEqual(
        rpc.details.map(({ typeUrl }) => typeUrl.split('.').at(-1)),
        ['ErrorInfo', 'RetryInfo'],
      )
      // What waited is gone with the watch, not sent late.
      assert.ok(s.seen.length < told - 900, `${s.seen.length} of ${told}`)
      const ns = s.seen.slice(3).map(({ n }) => n)
      assert.deepEqual(
        ns,
        Array.from(ns, (_, n) => n),
      )
    } finally {
      s.stop()
    }
  })
})
