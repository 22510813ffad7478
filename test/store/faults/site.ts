// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { TestAgent } from '@flowdam/aggregator/internal/testing/agent-client'
import { TestDaemon } from '@flowdam/aggregator/internal/testing/daemon'
import { DeltaAgent, delta } from '@flowdam/aggregator/internal/testing/delta-agent'
import { type GetStatusResponse, StatusServiceClient } from '@flowdam/proto'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { credentials } from '@grpc/grpc-js'
import { NumberedRecords } from './numbered.js'

export interface Pace {
  /** Records. */
  batch: number
  everyMs: number
}

/** Far beyond any pause of the loader. */
const GIVE_UP_MS = 120_000
const MOST_MEASURED = 20

/** A real aggregator and an agent that sends it numbered records, whatever is done to either. */
export class Site {
  readonly daemon = new TestDaemon()
  readonly records = new NumberedRecords()
  readonly #pace: Pace
  #agent: TestAgent | undefined
  #flooded = 0
  #addresses = { grpc: '', http: '' }

  constructor(pace: Pace) {
    this.#pace = pace
  }

  get grpc(): string {
    return this.#addresses.grpc
  }

  /** `store`: what stands below `store:` in aggregator.yaml. */
  configure(store: string, state = `${this.daemon.folder}/state`): void {
    writeFileSync(
      this.daemon.configFile,
      `listen: { grpc: '127.0.0.1:0', http: '127.0.0.1:0' }
networks: [203.0.113.0/24]
state: ${state}
store: ${store}
thresholds: { incoming: { pps: 20k } }
hooks:
  - { name: ban, run: [${this.daemon.hook}], format: fastnetmon, timeout: 20s }
`,
    )
  }

  /** Starts the daemon, again after it ended; the agent has what was not acknowledged. */
  async start(): Promise<void> {
    this.#addresses = await this.daemon.start()
    this.#agent =
      this.#agent?.moved(this.grpc) ??
      new TestAgent({ address: this.grpc, agentId: 'edge1', bootId: 7, window: 1000, returns: true })
    await this.#agent.connect()
  }

  async kill(): Promise<void> {
    await this.daemon.end('SIGKILL')
  }

  /** One more batch, which the agent keeps until it is acknowledged. */
  async send(): Promise<void> {
    await this.#alive(this.#agent?.send(this.records.make(this.#pace.batch), Date.now() - 5000))
    await sleep(this.#pace.everyMs)
  }

  async sendFor(ms: number): Promise<void> {
    for (const until = performance.now() + ms; performance.now() < until; ) await this.send()
  }

  /** Sends until the promise has resolved; throws what is wrong with the store when that takes a minute. */
  async sendUntil(what: string, done: Promise<unknown>): Promise<void> {
    let over = false
    const end = () => {
      over = true
    }
    done.then(end, end)
    for (const giveUp = performance.now() + GIVE_UP_MS; !over; ) {
      await this.send()
      if (performance.now() > giveUp) throw await this.#stalled(what)
    }
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

  async health(part = ''): Promise<{ status: number; state: string }> {
    const response = await fetch(`http://${this.#addresses.http}/healthz${part}`)
    const { state } = (await response.json()) as { state: string }
    return { status: response.status, state }
  }

  /** What keeps the spool from writing. */
  async spoolError(): Promise<string | undefined> {
    const response = await fetch(`http://${this.#addresses.http}/healthz`)
    const { spoolError } = (await response.json()) as { spoolError?: string }
    return spoolError
  }

  /** A number of /metrics, 0 where it is not. */
  async metric(nameAndLabels: string): Promise<number> {
    const text = await (await fetch(`http://${this.#addresses.http}/metrics`)).text()
    const line = text.split('\n').find((one) => one.startsWith(`${nameAndLabels} `))
    return Number(line?.slice(nameAndLabels.length) ?? 0)
  }

  async until(what: string, holds: (status: GetStatusResponse) => boolean): Promise<void> {
    await waitFor(what, async () => holds(await this.status()))
  }

  /** Until the spool's state is this. */
  async spoolIs(state: string): Promise<void> {
    await this.until(`the spool to be ${state}`, ({ store }) => store?.spoolState === state)
  }

  /**
   * Floods addresses that were not flooded before with five times the threshold, one after the other; the median of the times
   * from the first message to the hook's end, milliseconds.
   */
  async banDelay(floods = 5): Promise<number> {
    const agent = new DeltaAgent(this.grpc, 'edge2')
    await agent.connect()
    const delays: number[] = []
    for (let i = 0; i < floods; i++) {
      const address = `203.0.113.${++this.#flooded}`
      const began = performance.now()
      const isBanned = () => this.daemon.calls().some(({ argv }) => argv[0] === address && argv[3] === 'ban')
      await agent.flood(50, [delta(address, 5000, 300_000)], isBanned)
      delays.push(performance.now() - began)
    }
    agent.close()
    return delays.sort((a, b) => a - b)[floods >> 1] ?? Number.NaN
  }

  /** The same once it is below the limit: a machine that was busy for a moment is asked again, a daemon that waits fails. */
  async banDelayBelow(limitMs: number): Promise<number> {
    const delays: number[] = []
    while (delays.length < MOST_MEASURED) {
      const delay = await this.banDelay()
      if (delay < limitMs) return delay
      delays.push(delay)
    }
    throw new Error(
      `${delays.map((ms) => ms.toFixed(0)).join(', ')} ms to a ban, ${limitMs.toFixed(0)} allowed`,
    )
  }

  /** Everything that was sent is acknowledged. */
  async drained(): Promise<void> {
    await this.#alive(this.#agent?.drained())
  }

  /** With what the daemon said last, if it ended by itself. */
  async #alive(work: Promise<unknown> | undefined): Promise<void> {
    await work?.catch((cause: unknown) => {
      throw new Error(`no stream: ${this.daemon.log.slice(-4000)}`, { cause })
    })
  }

  /** Everything acknowledged, and loaded. */
  async settled(): Promise<void> {
    await this.drained()
    let stored = -1
    for (let giveUp = 0; ; await sleep(50)) {
      const { store } = await this.status()
      if (store?.spoolBytes === 0) return
      if (store && store.rowsStored !== stored) giveUp = performance.now() + GIVE_UP_MS
      stored = store?.rowsStored ?? 0
      if (performance.now() > giveUp) throw await this.#stalled('all to be stored')
    }
  }

  /** The tables are there. */
  async storeIsReady(): Promise<void> {
    await this.daemon.logged('the store is ready')
  }

  async #stalled(what: string): Promise<Error> {
    const { store } = await this.status()
    return new Error(`waited in vain for ${what}: ${JSON.stringify(store)}\n${this.daemon.log.slice(-4000)}`)
  }

  async cleanUp(): Promise<void> {
    this.#agent?.disconnect()
    await this.daemon.cleanUp()
  }
}
