// SPDX-License-Identifier: Apache-2.0
//
// A process with the aggregator's ingest and nothing behind it: every batch is acknowledged at once. Prints its
// address; ends when its stdin does. With `narrow`: with HTTP/2 windows as @grpc/grpc-js has them.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DropCounter } from '@flowdam/aggregator/internal/drops'
import { anyPort, GrpcEndpoint, MAX_MESSAGE_BYTES } from '@flowdam/aggregator/internal/grpc/endpoint'
import { IngestServer } from '@flowdam/aggregator/internal/ingest/server'
import { SourceRegistry } from '@flowdam/aggregator/internal/sources/registry'
import { ANY_BATCH, NO_DETECTOR } from '@flowdam/aggregator/internal/testing/sinks'
import { createLogger, formatHostPort } from '@flowdam/common'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { readCommands } from './cpu-report.js'

const folder = mkdtempSync(join(tmpdir(), 'flowdam-sink-'))
const log = createLogger('sink')
const drops = new DropCounter()
const sources = new SourceRegistry(folder)
sources.start()
const ingest = new IngestServer({
  deltas: NO_DETECTOR,
  batches: ANY_BATCH,
  sources,
  drops,
  log,
  config: { networks: [], exemptRemote: [], pace: undefined },
})
ingest.start()
const address = process.argv[2] === 'narrow' ? await serveNarrow() : await serve()
process.stdout.write(`${JSON.stringify({ address })}\n`)
readCommands(() => rmSync(folder, { recursive: true }))

async function serve(): Promise<string> {
  const grpc = new GrpcEndpoint({ listen: anyPort(), drops, log })
  grpc.add(ingest.definition, ingest.service)
  await grpc.start()
  return formatHostPort(grpc.address)
}

/** With the windows that gRPC comes with. */
function serveNarrow(): Promise<string> {
  const server = new Server({ 'grpc.max_receive_message_length': MAX_MESSAGE_BYTES })
  server.addService(ingest.definition, ingest.service)
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(`127.0.0.1:${port}`),
    )
  })
}
