// SPDX-License-Identifier: Apache-2.0
//
// The data's way of the aggregator without the decision's: ingest, spool, store. For tests and benchmarks; the
// daemon is main.ts. As a program: `node data-half.js '{"path": …}'` prints one line with its port, then one each
// time the stored count changes.
import { createLogger, formatHostPort } from '@flowdam/common'
import { type DeltaSink, newFlowCounters } from '../contracts.js'
import { DropCounter } from '../drops.js'
import { anyPort, GrpcEndpoint } from '../grpc/endpoint.js'
import { IngestServer } from '../ingest/server.js'
import { SourceRegistry } from '../sources/registry.js'
import { Spool } from '../spool/spool.js'
import { type StoreConfig, spoolOptions, zStore } from '../store/config.js'
import { prepareStoreFolder, Store, type StoreOptions } from '../store/store.js'
import { NO_DETECTOR } from './sinks.js'

export class DataHalf {
  readonly drops = new DropCounter()
  readonly flows = newFlowCounters()
  readonly sources: SourceRegistry
  readonly spool: Spool
  readonly store: Store
  readonly ingest: IngestServer
  readonly grpc: GrpcEndpoint

  constructor(config: StoreConfig, options: { deltas?: DeltaSink; engine?: StoreOptions['engine'] } = {}) {
    const log = createLogger('data-half')
    const shared = { drops: this.drops, flows: this.flows, log }
    this.sources = new SourceRegistry(prepareStoreFolder(config))
    this.spool = new Spool({
      ...spoolOptions(config),
      beforeCommit: () => this.sources.sync(),
      ...shared,
    })
    this.store = new Store({
      config,
      spool: this.spool,
      sources: this.sources,
      ...shared,
      ...(options.engine ? { engine: options.engine } : {}),
    })
    this.ingest = new IngestServer({
      deltas: options.deltas ?? NO_DETECTOR,
      batches: this.spool,
      sources: this.sources,
      drops: this.drops,
      log,
      config: { networks: [], exemptRemote: [], pace: undefined },
    })
    this.grpc = new GrpcEndpoint({ listen: anyPort(), drops: this.drops, log })
    this.grpc.add(this.ingest.definition, this.ingest.service)
  }

  get address(): string {
    return formatHostPort(this.grpc.address)
  }

  async start(): Promise<void> {
    this.sources.start()
    await this.spool.start()
    this.store.start()
    this.ingest.start()
    await this.grpc.start()
  }

  async stop(): Promise<void> {
    this.ingest.stop()
    await this.grpc.stop()
    await this.spool.stop()
    await this.store.stop()
    this.sources.stop()
  }

  /** Seals what is open and waits until the database has it all. */
  async settled(): Promise<void> {
    await this.spool.flush()
    while (this.spool.status().rows > 0) await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function main(): Promise<void> {
  const half = new DataHalf(zStore.parse(JSON.parse(process.argv[2] ?? '{}')))
  await half.start()
  process.stdout.write(`${JSON.stringify({ address: half.address })}\n`)
  process.on('message', async (request: 'settle' | 'stop') => {
    if (request === 'stop') {
      await half.stop()
      process.exit(0)
    }
    await half.settled()
    const child =
      half.store.engine.kind === 'embedded' ? 'pid' in half.store.engine && half.store.engine.pid : 0
    process.send?.({ flows: half.flows, drops: half.drops.snapshot(), child })
  })
  process.on('disconnect', () => process.exit(0))
}

if (process.argv[1]?.endsWith('data-half.js')) await main()
