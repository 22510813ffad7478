// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { commandIn, ipBatch } from '@flowdam/scripts/lab/commands'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { Box, KILLED, NOTHING, UPLINK_NAME, WITHOUT_TCX } from './box.js'

describe('an agent that dies or may not attach', () => {
  const box = new Box()
  before(() => box.start())
  after(() => box.stop())

  it('leaves no program after kill -9, but for a clsact filter where there is no TCX', async () => {
    const agent = box.agent()
    agent.start()
    await box.counting()
    assert.notDeepEqual(await box.attached(), NOTHING)
    await agent.stop('SIGKILL')
    // The kernel frees the links after the process is gone.
    await waitFor('the programs to go', async () => {
      const { xdp, tcx } = await box.attached()
      return xdp === 'none' && tcx.length === 0 ? true : undefined
    })
    assert.deepEqual(await box.attached(), KILLED)
    if (!WITHOUT_TCX) return
    await commandIn(box.network.namespaces.edge, 'tc', ['qdisc', 'del', 'dev', UPLINK_NAME, 'clsact'])
  })

  it('names the XDP program that is there already, and touches nothing', async () => {
    const first = box.agent({ direction: 'ingress' })
    first.start()
    await waitFor('the first agent to attach', async () =>
      (await box.attached()).xdp === 'native' ? true : undefined,
    )
    const [link] = JSON.parse(
      await commandIn(box.network.namespaces.edge, 'ip', ['-j', 'link', 'show', UPLINK_NAME]),
    ) as [{ xdp: { prog: { id: number } } }]
    const second = box.agent()
    second.start()
    const { code } = await second.ended()
    assert.equal(code, 1)
    assert.match(
      second.logTail(),
      new RegExp(`FD_XDP_BUSY: ${UPLINK_NAME} already has XDP program ${link.xdp.prog.id} \\(flowdam_xdp`),
    )
    assert.match(second.logTail(), /bpftool net show/)
    assert.equal((await box.attached()).xdp, 'native')
    await first.stop()
    assert.deepEqual(await box.attached(), NOTHING)
  })

  it('without TCX, replaces the clsact filter that a killed agent left, and takes away its own', async () => {
    const program = new URL('./clsact-program.js', import.meta.url).pathname
    const clsact = (...args: string[]) =>
      commandIn(box.network.namespaces.edge, process.execPath, [program, UPLINK_NAME, ...args])
    await clsact('leave')
    assert.deepEqual(await box.attached(), { ...NOTHING, filters: ['flowdam_tc'], clsact: true })
    await clsact('leave')
    assert.deepEqual(await box.attached(), { ...NOTHING, filters: ['flowdam_tc'], clsact: true })
    await clsact('detach')
    assert.deepEqual(await box.attached(), { ...NOTHING, clsact: true }, "the qdisc may be somebody else's")
    await commandIn(box.network.namespaces.edge, 'tc', ['qdisc', 'del', 'dev', UPLINK_NAME, 'clsact'])
    await clsact('detach')
    assert.deepEqual(await box.attached(), NOTHING, 'a qdisc that we made goes with the filter')
    if (WITHOUT_TCX) return
    await clsact('leave')
    await clsact('tcx')
    assert.deepEqual(
      await box.attached(),
      { ...NOTHING, clsact: true },
      'TCX must not count beside an old filter',
    )
    await commandIn(box.network.namespaces.edge, 'tc', ['qdisc', 'del', 'dev', UPLINK_NAME, 'clsact'])
  })

  it('attaches in generic mode when asked to, and says so', async () => {
    const agent = box.agent({ attach: 'generic', direction: 'ingress' })
    agent.start()
    await waitFor('generic mode', async () => ((await box.attached()).xdp === 'generic' ? true : undefined))
    await box.until('generic in the interface table', ({ interfaces }) =>
      interfaces.some(({ attachMode }) => attachMode === 'generic'),
    )
    await agent.stop()
    assert.match(agent.logTail(), /generic mode/)
    assert.deepEqual(await box.attached(), NOTHING)
  })

  it('waits for an interface that is missing, follows it when it comes, goes and comes back', async () => {
    const { edge } = box.network.namespaces
    const agent = box.agent({ interfaces: [{ name: 'later', boundary: 'internal' }], direction: 'ingress' })
    agent.start()
    const mode = (wanted: string) =>
      box.until(`later to be ${wanted}`, ({ interfaces }) =>
        interfaces.some(({ name, attachMode }) => name === 'later' && attachMode === wanted),
      )
    await mode('absent')
    for (let round = 0; round < 2; round++) {
      await ipBatch(edge, ['link add later type veth peer name later2', 'link set later up'])
      await mode('native')
      await ipBatch(edge, ['link del later'])
      await mode('absent')
    }
    const { code } = (await agent.stop()) ?? {}
    assert.equal(code, 0)
    assert.match(agent.logTail(), /there is no interface later here/)
  })
})

describe('an agent whose aggregator goes away', () => {
  const box = new Box()
  before(() => box.start())
  after(() => box.stop())

  it('keeps what is not acknowledged and sends it when a stream is there again', async () => {
    const agent = box.agent()
    agent.start()
    await box.counting()
    const first = await box.send('--count', '20000', '--flows', '500', '--rate', '40000')
    await box.until('the first packets', ({ records }) => records.packets === first.packets)
    await box.ingest.stop()
    const second = await box.send('--count', '30000', '--flows', '700', '--rate', '40000')
    // A new aggregator without memory: it gets what the old one had not acknowledged, and the merged deltas.
    await box.ingest.start()
    await box.until('the rest', ({ records }) => records.packets === second.packets)
    const { code } = (await agent.stop()) ?? {}
    assert.equal(code, 0)
    const got = await box.ingest.report()
    assert.equal(got.records.bytes, second.bytes)
    assert.equal(got.duplicates, 0)
    assert.equal(got.ledgers[0]?.['seenPackets'], second.packets)
  })
})
