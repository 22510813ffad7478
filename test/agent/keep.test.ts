// SPDX-License-Identifier: Apache-2.0
//
// keep_attached: an agent that dies at any moment, and another that takes over.
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { closeFd, mmapShared, munmap, objectGet } from '@flowdam/agent/internal/kernel/libbpf'
import { command } from '@flowdam/scripts/lab/commands'
import { Traffic } from '@flowdam/scripts/lab/traffic'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { COUNTING, NOTHING } from './box.js'
import { PinBox } from './pin-box.js'

const KILLS = 8
const MOST_KILLS = 80

describe('an agent with keep_attached', () => {
  // Late acknowledgements, so that kills come between a batch and its own.
  const box = new PinBox({ acknowledgesAfterMs: 150 })
  before(() => box.start())
  after(() => box.stop())

  it('killed at random moments while traffic flows, and started again: total counted = total sent', async (test) => {
    let agent = box.keeper()
    agent.start()
    await box.counting()
    const before = (await box.uplink()).rx
    const traffic = new Traffic(box.network, {
      from: 'internet',
      args: ['--flows', '20000', '--rate', '60000'],
    })
    traffic.start()
    let kills = 0
    let recoveries = 0
    // Some of them between the end of an epoch and its acknowledgement.
    while (kills < KILLS || recoveries === 0) {
      assert.ok(kills < MOST_KILLS, 'no kill came between the end of an epoch and its acknowledgement')
      // Every other one in the middle of its flips, five a second; the others from the first lines of their start on.
      if (kills % 2 === 0)
        await waitFor('a stream', () => (/stream to/.test(agent.logTail()) ? true : undefined))
      await sleep(100 + Math.random() * 800)
      await agent.stop('SIGKILL')
      kills++
      if (/left undone/.test(agent.logTail())) recoveries++
      assert.deepEqual(await box.attached(), COUNTING, 'counting goes on without an agent')
      agent = box.keeper()
      agent.start()
    }
    const sent = await traffic.stop()
    await box.received(before + sent.packets)
    await box.delivered(sent.packets, sent.bytes)
    const { hellos } = await box.ingest.report()
    test.diagnostic(
      `${kills} kills, ${hellos.length} streams, ${recoveries} times an epoch was drained again`,
    )
    assert.equal(new Set(hellos.map(({ bootId }) => bootId)).size, 1, 'one boot goes on')

    if (/left undone/.test(agent.logTail())) recoveries++
    await agent.stop()
    assert.deepEqual(await box.attached(), COUNTING, 'a clean stop leaves it counting too')
  })

  it('takes over with other sizes: the old maps are drained, not a packet is missed', async () => {
    const start = await box.ingest.report()
    const already = start.records.packets
    const bytesAlready = start.records.bytes
    const traffic = new Traffic(box.network, {
      from: 'internet',
      args: ['--count', '200000', '--flows', '5000', '--rate', '40000'],
    })
    const before = (await box.uplink()).rx
    traffic.start()
    let agent = box.keeper()
    for (const flow_slots of [32768, 65536, 16384]) {
      agent = box.keeper({ flow_slots })
      agent.start()
      await sleep(700 + Math.random() * 600)
      await agent.stop('SIGKILL')
    }
    agent = box.keeper({ flow_slots: 16384 })
    agent.start()
    const sent = await traffic.ended()
    await box.received(before + sent.packets)
    await box.delivered(already + sent.packets, bytesAlready + sent.bytes)
    await waitFor('the old maps to be removed', async () => {
      const names = await command('ls', [join(box.mount, 'edge1')])
      return names.split('\n').filter((name) => name.startsWith('maps-')).length === 1 ? true : undefined
    })
    await agent.stop()
  })

  it('counts and says what is lost when the maps have a layout that it cannot read, and goes on', async () => {
    const folder = join(box.mount, 'edge1')
    const maps = readdirSync(folder).filter((name) => name.startsWith('maps-'))
    const fd = objectGet(join(folder, maps[0] ?? '', 'state'))
    const mapped = mmapShared(fd, 4096)
    assert.ok(typeof mapped !== 'number')
    // layout_version, the third word.
    new Uint32Array(mapped.memory)[2] = 999
    munmap(mapped.at, 4096)
    closeFd(fd)
    const agent = box.keeper({ flow_slots: 16384 })
    agent.start()
    await waitFor('it to count', () => (/"counting"/.test(agent.logTail()) ? true : undefined))
    assert.match(agent.logTail(), /"lostEpochs":1,.*another layout/)
    const { records } = await box.ingest.report()
    const sent = await box.send('--count', '20000', '--flows', '300', '--rate', '20000')
    await box.delivered(records.packets + sent.packets, records.bytes + sent.bytes)
    await agent.stop()
  })

  it('refuses a second agent on the same pins, and --detach takes all away', async () => {
    const first = box.keeper({ flow_slots: 16384 })
    first.start()
    await box.until('the first', ({ hellos }) => hellos.length > 0)
    await waitFor('it to count', () => (/"counting"/.test(first.logTail()) ? true : undefined))
    const second = box.keeper({ flow_slots: 16384 })
    second.start()
    assert.equal((await second.ended()).code, 1)
    assert.match(second.logTail(), new RegExp(`FD_AGENT_RUNNING: agent process ${first.pid} `))
    const busy = box.keeper({}, ['--detach'])
    busy.start()
    assert.equal((await busy.ended()).code, 1)
    assert.match(busy.logTail(), /FD_AGENT_RUNNING/)
    await first.stop()
    assert.deepEqual(await box.attached(), COUNTING)

    const plain = box.agent()
    plain.start()
    assert.equal((await plain.ended()).code, 1)
    assert.match(plain.logTail(), /FD_XDP_BUSY.*\n?.*flowdam-agent --detach/)

    const detach = box.keeper({}, ['--detach'])
    detach.start()
    assert.equal((await detach.ended()).code, 0, detach.logTail())
    assert.match(detach.output(), /nothing was waiting there/)
    await waitFor('the programs to go', async () =>
      (await box.attached()).xdp === 'none' ? true : undefined,
    )
    assert.deepEqual(await box.attached(), NOTHING)
    assert.ok(!existsSync(join(box.mount, 'edge1')))
  })

  it('without a BPF file system says how to mount one, and leaves nothing attached', async () => {
    const agent = box.agent({ keep_attached: true, pin_path: join(box.network.folder, 'none', 'x') })
    agent.start()
    assert.equal((await agent.ended()).code, 1)
    assert.match(agent.logTail(), /FD_BPFFS_MISSING.*\n?.*mount -t bpf bpf/)
    assert.deepEqual(await box.attached(), NOTHING)
  })
})
