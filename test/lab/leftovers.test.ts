// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { command } from '@flowdam/scripts/lab/commands'
import { Lab } from '@flowdam/scripts/lab/lab'
import { UPLINK_NAME } from '@flowdam/scripts/lab/network'
import { waitFor } from '@flowdam/scripts/lab/wait'

/** Ids of links and programs that a process holds, from what the kernel says about its files. */
function heldBy(pid: number): { links: string[]; programs: string[] } {
  const files = readdirSync(`/proc/${pid}/fdinfo`).map((fd) => {
    try {
      return readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8')
    } catch {
      // It has closed this one meanwhile; links and programs it keeps open.
      return ''
    }
  })
  const ids = (name: string) =>
    files.flatMap((text) => new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1] ?? [])
  return { links: ids('link_id'), programs: ids('prog_id') }
}

async function stillThere(kind: 'link' | 'prog', ids: readonly string[]): Promise<string[]> {
  const all = JSON.parse(await command('bpftool', ['-j', kind, 'show'])) as { id: number }[]
  return ids.filter((id) => all.some((object) => String(object.id) === id))
}

describe('an agent that ends', () => {
  const lab = new Lab({ thresholdPps: 1e9, bgp: false })
  let held: ReturnType<typeof heldBy>
  before(() => lab.start())
  after(() => lab.stop())

  /** What the uplink itself says. */
  async function hasXdp(): Promise<boolean> {
    const text = await command('ip', ['-n', lab.network.namespaces.edge, '-j', 'link', 'show', UPLINK_NAME])
    const [link] = JSON.parse(text) as { xdp?: object }[]
    return link?.xdp !== undefined
  }

  beforeEach(async () => {
    if (!lab.daemons.agent.running) await lab.daemons.startAgent()
    held = heldBy(lab.daemons.agent.pid)
    assert.ok(await hasXdp(), 'no XDP program to begin with')
    // One link for ingress, one for egress.
    assert.equal((await stillThere('link', held.links)).length, 2)
    assert.ok(held.programs.length >= 2)
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
        const left = [...(await stillThere('link', held.links)), ...(await stillThere('prog', held.programs))]
        return left.length === 0 && !(await hasXdp()) ? true : undefined
      })
    })
  }
})
