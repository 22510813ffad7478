// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { commandIn, inNamespace, ipBatch } from '@flowdam/scripts/lab/commands'
import { EDGE_BGP, LabNetwork } from '@flowdam/scripts/lab/network'
import { LabProcess } from '@flowdam/scripts/lab/process'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { runHook } from './run.js'

const EDGE_6 = '2001:db8:9::1'

describe('the nftables hook in a real kernel', () => {
  const network = new LabNetwork()
  const edge = network.namespaces.edge

  before(async () => {
    await network.start()
    await ipBatch(edge, [`addr add ${EDGE_6}/64 dev router nodad`])
    await ipBatch(network.namespaces.router, ['addr add 2001:db8:9::2/64 dev edge nodad'])
  })
  after(() => network.stop())

  async function hook(args: readonly string[], input = '') {
    const end = await runHook(edge, 'nftables', args, input)
    assert.deepEqual({ status: end.status, stderr: end.stderr }, { status: 0, stderr: '' }, args.join(' '))
    return end.stdout
  }

  const table = () => commandIn(edge, 'nft', ['list', 'table', 'inet', 'flowdam'])

  /** What banned entries have dropped, by entry. */
  async function dropped(): Promise<Record<string, number>> {
    const entries = (await table()).matchAll(/([0-9a-f.:]+(?:\/\d+)?) counter packets (\d+)/g)
    return Object.fromEntries([...entries].map(([, entry = '', packets]) => [entry, Number(packets)]))
  }

  /** Knocks at a closed port of the edge: the answer is a refusal, unless the packet is dropped. */
  function knock(address: string): LabProcess {
    const [program, args] = inNamespace(network.namespaces.router, 'bash', [
      '-c',
      `echo > /dev/tcp/${address}/9`,
    ])
    const knocking = new LabProcess({
      name: `a connection to ${address}`,
      program,
      args,
      logFile: `${network.folder}/knock.log`,
    })
    knocking.start()
    return knocking
  }

  for (const address of [EDGE_BGP, EDGE_6]) {
    it(`drops packets to ${address} while it is banned, and counts them`, async (t) => {
      assert.equal((await knock(address).ended()).code, 1, 'refused before')
      const startedAt = performance.now()
      await hook([address, 'incoming', '104233', 'ban'], 'IP: the report\n')
      t.diagnostic(`nftables: hook started → dropping: ${Math.round(performance.now() - startedAt)} ms`)
      const knocking = knock(address)
      await waitFor('a dropped packet', async () => ((await dropped())[address] ?? 0) > 0 || undefined)
      assert.ok(knocking.running, 'no answer came')
      await knocking.stop()
      await hook([address, 'incoming', '0', 'unban'])
      assert.equal((await knock(address).ended()).code, 1, 'refused again')
    })
  }

  it('bans and unbans again and at the same time without harm', async () => {
    const prefixes = ['203.0.113.1', '203.0.113.2', '203.0.113.128/25', '2001:db8:1::1', '2001:db8:2::/48']
    await Promise.all([...prefixes, ...prefixes].map((prefix) => hook(['ban', prefix])))
    assert.deepEqual(Object.keys(await dropped()).sort(), prefixes.toSorted())
    await Promise.all([...prefixes, ...prefixes].map((prefix) => hook(['unban', prefix])))
    assert.deepEqual(await dropped(), {})
  })

  it('resync makes the sets equal to the list, also in a new table', async () => {
    for (const prefix of ['203.0.113.1', '203.0.113.2', '203.0.113.128/25']) await hook(['ban', prefix])
    const list = '203.0.113.2\n2001:db8:1::1/128\n198.51.100.0/24\n'
    assert.equal(await hook(['resync'], list), '2 announced, 1 kept, 2 withdrawn\n')
    const entries = ['198.51.100.0/24', '2001:db8:1::1', '203.0.113.2']
    assert.deepEqual(Object.keys(await dropped()).sort(), entries)
    await commandIn(edge, 'nft', ['flush', 'ruleset'])
    await hook(['resync'], list)
    assert.deepEqual(Object.keys(await dropped()).sort(), entries)
    await hook(['resync', '--none'])
    assert.deepEqual(await dropped(), {})
  })

  it('lets an entry go by itself after its time', async () => {
    assert.equal(
      (await runHook(edge, 'nftables', ['ban', '203.0.113.7'], '', { NFT_TIMEOUT: '1s' })).status,
      0,
    )
    await waitFor('the entry to go', async () =>
      Object.keys(await dropped()).length === 0 ? true : undefined,
    )
  })

  it('says what nft says, with status 1', async () => {
    await hook(['ban', '203.0.113.0/24'])
    const { status, stderr } = await runHook(edge, 'nftables', ['ban', '203.0.113.0/25'])
    assert.equal(status, 1)
    assert.match(stderr, /interval overlaps/)
  })

  it('refuses a time that is none, with status 2', async () => {
    const { status, stderr } = await runHook(edge, 'nftables', ['ban', '203.0.113.7'], '', {
      NFT_TIMEOUT: '1',
    })
    assert.equal(status, 2)
    assert.match(stderr, /NFT_TIMEOUT: not a time/)
  })
})
