// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { command } from '@flowdam/scripts/lab/commands'
import { Box } from './box.js'

/** A box with a BPF file system of its own. */
export class PinBox extends Box {
  get mount(): string {
    return join(this.network.folder, 'bpf')
  }

  override async start(): Promise<void> {
    await super.start()
    mkdirSync(this.mount)
    await command('mount', ['-t', 'bpf', 'bpf', this.mount])
  }

  override async stop(): Promise<void> {
    await command('umount', [this.mount]).catch(() => undefined)
    await super.stop()
  }

  keeper(config: Readonly<Record<string, unknown>> = {}, args: readonly string[] = []) {
    const keep = { keep_attached: true, pin_path: join(this.mount, 'edge1') }
    return this.agent({ ...keep, export_interval: '200ms', ...config }, { seesPins: true, args })
  }

  /** Counted, delivered once, and nothing of it twice. */
  async delivered(packets: number, bytes: number): Promise<void> {
    const got = await this.until(
      `${packets} packets to be delivered`,
      ({ records, overflow }) => records.packets + overflow.packets >= packets,
    )
    assert.equal(got.records.packets + got.overflow.packets, packets)
    assert.equal(got.records.bytes + got.overflow.bytes, bytes)
    assert.equal(got.ledgers[0]?.['seenPackets'], packets)
    assert.equal(got.ledgers[0]?.['seenBytes'], bytes)
    assert.equal(got.heartbeats[0]?.lawViolations, 0)
  }
}
