// SPDX-License-Identifier: Apache-2.0
//
// npm start as a newcomer runs it: the demo, and the same on an interface.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { command } from '@flowdam/scripts/lab/commands'
import { LabNetwork, UPLINK_NAME } from '@flowdam/scripts/lab/network'
import { LabProcess } from '@flowdam/scripts/lab/process'
import { ROOT } from '@flowdam/scripts/lab/root'
import { Traffic } from '@flowdam/scripts/lab/traffic'
import { waitFor } from '@flowdam/scripts/lab/wait'

/** The demo waits some seconds before its first flood, on a busy machine longer. */
const LIMIT_MS = 120_000

/** `npm start` without a terminal: it prints lines. */
class Start {
  readonly #folder = mkdtempSync(join(tmpdir(), 'flowdam-start-'))
  readonly #process: LabProcess
  readonly lines: string[] = []

  constructor(args: readonly string[], namespace?: string) {
    this.#process = new LabProcess({
      name: 'npm start',
      program: process.execPath,
      args: [join(ROOT, 'scripts/start.mjs'), ...args],
      logFile: join(this.#folder, 'errors'),
      onLine: (line) => this.lines.push(line),
      ...(namespace && { namespace }),
    })
  }

  start(): void {
    this.#process.start()
  }

  /** Waits for a line. */
  async says(line: RegExp): Promise<string> {
    return await waitFor(
      `a line ${line}`,
      () => {
        if (!this.#process.running) {
          throw new Error(`npm start ended: ${[...this.lines, this.#process.logTail()].join('\n')}`)
        }
        return this.lines.find((text) => line.test(text))
      },
      LIMIT_MS,
    )
  }

  /** Those of its network, named after its process. */
  async namespaces(): Promise<string[]> {
    const text = await command('ip', ['netns', 'list'])
    return text.split('\n').filter((line) => line.startsWith(`fd${this.#process.pid}-`))
  }

  /** As Ctrl-C does. */
  async stop(): Promise<number | null | undefined> {
    const end = await this.#process.stop('SIGINT')
    rmSync(this.#folder, { recursive: true, force: true })
    return end?.code
  }
}

describe('npm start', () => {
  const start = new Start([])
  before(() => start.start())
  after(() => start.stop())

  it('floods, bans, and shows the route that the router got', async () => {
    await start.says(/ UDP flood towards 203\.0\.113\.\d+/)
    await start.says(/ ban 203\.0\.113\.\d+\/32: \d+ pps over 20000$/)
    await start.says(
      / the router has the route 203\.0\.113\.\d+\/32 next hop 192\.0\.2\.1, community 65535:666$/,
    )
    await start.says(/ hook gobgp ban 203\.0\.113\.\d+\/32: ok /)
    assert.match(await start.says(/ \| bans 203\.0\.113\./), / \| drops none \| /)
  })

  it('ends by Ctrl-C without an error and takes its namespaces away', async () => {
    assert.equal((await start.namespaces()).length, 4)
    assert.equal(await start.stop(), 0)
    assert.deepEqual(await start.namespaces(), [])
  })
})

describe('npm start -- --interface', () => {
  const network = new LabNetwork()
  const args = ['--interface', UPLINK_NAME, '--networks', '203.0.113.0/24,2001:db8:1::/48']
  const start = new Start(args, network.namespaces.edge)
  before(async () => {
    await network.start()
    start.start()
  })
  after(async () => {
    await start.stop()
    await network.stop()
  })

  it('says what it would ban, and that it is announced nowhere', async () => {
    await start.says(/ \| bans none$/)
    const flood = new Traffic(network, {
      from: 'internet',
      args: ['--profile', 'udp-flood', '--victim', '203.0.113.10', '--rate', '60000', '--duration', '5'],
    })
    flood.start()
    await start.says(/ ban 203\.0\.113\.10\/32: \d+ pps over 20000$/)
    await flood.ended()
    const line = await start.says(/ \| bans 203\.0\.113\.10\/32 \(dry run, announced nowhere\)$/)
    assert.match(line, / \| drops none \| /)
  })

  it('leaves no program on the interface', async () => {
    assert.equal(await start.stop(), 0)
    const text = await command('ip', ['-n', network.namespaces.edge, '-j', 'link', 'show', UPLINK_NAME])
    const [link] = JSON.parse(text) as { xdp?: object }[]
    assert.ok(link)
    assert.equal(link.xdp, undefined)
  })
})
