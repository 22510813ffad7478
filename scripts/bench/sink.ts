// SPDX-License-Identifier: Apache-2.0
//
// A process with the aggregator's ingest and nothing behind it: every batch is acknowledged at once. Prints its
// address; ends when its stdin does.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DropCounter } from '@flowdam/aggregator/internal/drops'
import { anyPort, GrpcEndpoint } from '@flowdam/aggregator/internal/ingest/endpoint'
import { IngestServer } from '@flowdam/aggregator/internal/ingest/server'
import { SourceRegistry } from '@flowdam/aggregator/internal/sources/registry'
import { createLogger, formatHostPort } from '@flowdam/common'

const folder = mkdtempSync(join(tmpdir(), 'flowdam-sink-'))
const log = createLogger('sink')
const drops = new DropCounter()
const sources = new SourceRegistry(folder)
sources.start()
const ingest = new IngestServer({
  deltas: { onHostDeltas: () => undefined, onAgentState: () => undefined },
  batches: {
    append: async () => 'stored',
    lastSeq: () => 0,
    queueBytes: 256e6,
    hasRoom: () => true,
    room: async () => undefined,
  },
  sources,
  drops,
  log,
  config: { networks: [], exemptRemote: [], pace: undefined },
})
const grpc = new GrpcEndpoint({ listen: anyPort(), drops, log })
grpc.add(ingest.definition, ingest.service)
ingest.start()
await grpc.start()
process.stdout.write(`${JSON.stringify({ address: formatHostPort(grpc.address) })}\n`)
process.stdin.resume().on('end', () => {
  rmSync(folder, { recursive: true })
  process.exit(0)
})
