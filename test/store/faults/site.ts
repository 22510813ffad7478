// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { TestAgent } from '@flowdam/aggregator/internal/testing/agent-client'
import { TestDaemon } from '@flowdam/aggregator/internal/testing/daemon'
import { type GetStatusResponse, StatusServiceClient } from '@flowdam/proto'
import { credentials } from '@grpc/grpc-js'
import { NumberedRecords } from './numbered.js'

export interface Pace {
  batch: number
  everyMs: number
}

/** A real aggregator and an agent that sends it numbered records, whatever is done to either. */
export class Site {
  readonly daemon = new TestDaemon()
  readonly records = new NumberedRecords()
  readonly #pace: Pace
  #agent: TestAgent | undefined
  #addresses = { grpc: '', http: '' }

  constructor(pace: Pace) {
    this.#pace = pace
  }

  get grpc(): string {
    return this.#addresses.grpc
  }

  /** `store`: what stands below `store:` in aggregator.yaml. */
  configure(store: string, more = ''): void {
    writeFileSync(
      this.daemon.configFile,
      `listen: { grpc: '127.0.0.1:0', http: '127.0.0.1:0' }
networks: [203.0.113.0/24]
state: ${this.daemon.folder}/state
store: ${store}
${more}`,
    )
  }

  /** Starts the daemon, again after it ended; the agent has what was not acknowledged. */
  async start(): Promise<void> {
    this.#addresses = await this.daemon.start()
    this.#agent =
      this.#agent?.moved(this.grpc) ?? new TestAgent({ address: this.grpc, agentId: 'edge1', bootId: 7 })
    await this.#agent.connect()
  }

  async kill(): Promise<void> {
    await this.daemon.end('SIGKILL')
  }

  /** One more batch, which the agent keeps until it is acknowledged. */
  async send(): Promise<void> {
    await this.#agent?.send(this.records.make(this.#pace.batch), Date.now() - 5000)
    await sleep(this.#pace.everyMs)
  }

  async sendFor(ms: number): Promise<void> {
    for (const until = performance.now() + ms; performance.now() < until; ) await this.send()
  }

  /** Sends until the promise has resolved. */
  async sendUntil(done: Promise<unknown>): Promise<void> {
    let over = false
    const end = () => {
      over = true
    }
    done.then(end, end)
    while (!over) await this.send()
    await done
  }

  async status(): Promise<GetStatusResponse> {
    const client = new StatusServiceClient(this.grpc, credentials.createInsecure())
    try {
      return await new Promise((resolve, reject) => {
        client.getStatus({}, (error, status) => (error ? reject(error) : resolve(status)))
      })
    } finally {
      client.close()
    }
  }

  async get(path: 'metrics' | 'healthz'): Promise<string> {
    return (await fetch(`http://${this.#addresses.http}/${path}`)).text()
  }

  /** Everything acknowledged, and loaded. */
  async settled(): Promise<void> {
    await this.#agent?.drained()
    while (((await this.status()).store?.spoolBytes ?? 0) > 0) await sleep(50)
  }

  async cleanUp(): Promise<void> {
    this.#agent?.disconnect()
    await this.daemon.cleanUp()
  }
}
