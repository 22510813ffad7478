// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { command, commandIn } from '@flowdam/scripts/lab/commands'
import { Lab } from '@flowdam/scripts/lab/lab'
import { UPLINK_NAME } from '@flowdam/scripts/lab/network'
import { waitFor } from '@flowdam/scripts/lab/wait'

interface LinkState {
  xdp?: object
}

describe('an agent that ends', () => {
  const lab = new Lab({ thresholdPps: 1e9, bgp: false })
  before(() => lab.start())
  after(() => lab.stop())

  /** What the kernel says about the uplink: its XDP program and its TC programs, by clsact or TCX. */
  async function attached(): Promise<{ xdp: boolean; tc: number }> {
    const { edge } = lab.network.namespaces
    const links = JSON.parse(
      await command('ip', ['-n', edge, '-j', 'link', 'show', UPLINK_NAME]),
    ) as LinkState[]
    const net = JSON.parse(await commandIn(edge, 'bpftool', ['-j', 'net', 'show', 'dev', UPLINK_NAME])) as {
      tc: object[]
    }[]
    return { xdp: links[0]?.xdp !== undefined, tc: net[0]?.tc.length ?? 0 }
  }

  beforeEach(async () => {
    if (!lab.daemons.agent.running) await lab.daemons.startAgent()
    const { xdp, tc } = await attached()
    assert.ok(xdp && tc > 0, `nothing was attached to begin with: ${JSON.stringify({ xdp, tc })}`)
  })
  afterEach(async () => {
    await lab.daemons.agent.stop('SIGKILL')
  })

  const endings = [
    { title: 'by SIGTERM', signal: 'SIGTERM', code: 0 },
    { title: 'by Ctrl-C', signal: 'SIGINT', code: 0 },
    { title: 'by kill -9', signal: 'SIGKILL', code: null },
  ] as const
  for (const { title, signal, code } of endings) {
    it(`${title} leaves no program on the interface`, async () => {
      const end = await lab.daemons.agent.stop(signal)
      assert.equal(end?.code, code)
      // The kernel takes a dead process's links down after it has gone.
      await waitFor('the programs to be gone', async () => {
        const { xdp, tc } = await attached()
        return !xdp && tc === 0 ? true : undefined
      })
    })
  }
})
