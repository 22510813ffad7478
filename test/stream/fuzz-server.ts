// SPDX-License-Identifier: Apache-2.0
//
// A program of its own, so that its memory can be measured: the ingest service and nothing else. Answers each message
// of its parent with what it has counted.
import { Receiver } from './stand.js'

const receiver = new Receiver()
process.on('uncaughtException', (error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
await receiver.start()
process.send?.({ port: receiver.port })
process.on('message', () => {
  globalThis.gc?.()
  // What tests would look at later, the real sinks hand on.
  const { arrivals } = receiver.sink
  const kept = { batches: receiver.sink.batches.length, deltas: receiver.sink.deltas.length }
  arrivals.length = 0
  process.send?.({
    ...kept,
    messages: receiver.messages,
    rss: process.memoryUsage.rss(),
    heap: process.memoryUsage().heapUsed,
    connected: receiver.ingest?.connected,
    agents: receiver.ingest?.agents().length,
    drops: receiver.drops.snapshot(),
  })
})
process.on('disconnect', () => process.exit(0))
