// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type StoreConfig, zStore } from '@flowdam/aggregator/internal/store/config'
import { EmbeddedEngine } from '@flowdam/aggregator/internal/store/embedded/engine'
import { TestAgent } from '@flowdam/aggregator/internal/testing/agent-client'
import { DataHalf } from '@flowdam/aggregator/internal/testing/data-half'
import { quietLog } from '@flowdam/aggregator/internal/testing/quiet-log'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { waitFor } from '@flowdam/scripts/lab/wait'

/** Flows and their sums in an embedded store that can be stopped and started again. */
export class SummedHalf {
  readonly #path = mkdtempSync(join(tmpdir(), 'flowdam-sums-'))
  #running: { half: DataHalf; engine: EmbeddedEngine } | undefined
  #agent: TestAgent | undefined
  #seed = 0
  /** Records, all told. */
  pushed = 0

  get half(): DataHalf {
    assert.ok(this.#running)
    return this.#running.half
  }
  get store() {
    return this.half.store
  }
  get engine(): EmbeddedEngine {
    assert.ok(this.#running)
    return this.#running.engine
  }
  get rollups() {
    const { rollups } = this.store
    assert.ok(rollups)
    return rollups
  }

  async start(changed: Partial<StoreConfig> = {}): Promise<void> {
    const config = zStore.parse({ engine: 'embedded', path: this.#path, spool: { segment_age: '50ms' } })
    const path = join(this.#path, 'clickhouse')
    const engine = new EmbeddedEngine({ path, memoryBytes: 2e9, log: quietLog() })
    const half = new DataHalf({ ...config, ...changed } as StoreConfig, { engine })
    await half.start()
    const { address } = half
    this.#agent =
      this.#agent?.moved(address) ?? new TestAgent({ address, agentId: 'edge1', bootId: 1, returns: true })
    await this.#agent.connect()
    await half.store.ready()
    this.#running = { half, engine }
  }

  async stop(): Promise<void> {
    this.#agent?.disconnect()
    await this.#running?.half.stop()
    this.#running = undefined
  }

  async remove(): Promise<void> {
    await this.stop()
    rmSync(this.#path, { recursive: true })
  }

  /** Ten thousand records of one minute, stored when it returns. */
  async push(epochStartUnixMs: number): Promise<void> {
    const { records } = makeRecords(10_000, ++this.#seed, 60_000)
    await this.#agent?.send(records, epochStartUnixMs, { epochMs: 60_000 })
    await this.#agent?.drained()
    await this.half.settled()
    this.pushed += 10_000
  }

  /** All that is due is summed. */
  async summed(): Promise<void> {
    await waitFor('the sums', () => this.rollups.waitingMinutes + this.rollups.waitingHours === 0)
  }
}
