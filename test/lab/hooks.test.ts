// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { commandIn } from '@flowdam/scripts/lab/commands'
import { BLACKHOLE_COMMUNITY, Speaker } from '@flowdam/scripts/lab/gobgp'
import { GOBGP_HOOK } from '@flowdam/scripts/lab/lab'
import { LabNetwork } from '@flowdam/scripts/lab/network'
import { waitFor } from '@flowdam/scripts/lab/wait'

describe('the gobgp hook against two real gobgpd', () => {
  const network = new LabNetwork()
  const edge = new Speaker(network, 'edge')
  const router = new Speaker(network, 'router')

  before(async () => {
    await network.start()
    await Promise.all([edge.start(), router.start()])
    await Promise.all([edge.established(), router.established()])
  })
  after(async () => {
    await Promise.allSettled([edge.stop(), router.stop()])
    await network.stop()
  })

  const hook = (address: string, action: 'ban' | 'unban', ...env: string[]) =>
    commandIn(network.namespaces.edge, 'env', [
      ...env,
      ...GOBGP_HOOK.run,
      address,
      'incoming',
      '12345',
      action,
    ])
  const untilRoutes = (count: number) =>
    waitFor(`${count} routes at the router`, async () => {
      const routes = await router.routes()
      return routes.length === count ? routes : undefined
    })

  it('announces an address of each family with 65535:666, and doing it twice changes nothing', async () => {
    for (const address of ['203.0.113.10', '2001:db8:1::a', '203.0.113.10', '2001:db8:1::a']) {
      await hook(address, 'ban')
    }
    assert.deepEqual(await untilRoutes(2), [
      { prefix: '203.0.113.10/32', nextHop: '192.0.2.1', communities: [BLACKHOLE_COMMUNITY] },
      { prefix: '2001:db8:1::a/128', nextHop: '100::1', communities: [BLACKHOLE_COMMUNITY] },
    ])
  })

  it('withdraws them, also twice', async () => {
    for (const address of ['203.0.113.10', '2001:db8:1::a', '203.0.113.10', '2001:db8:1::a']) {
      await hook(address, 'unban')
    }
    assert.deepEqual(await untilRoutes(0), [])
  })

  it('announces with other communities and next hop as configured', async () => {
    await hook('203.0.113.11', 'ban', 'NEXT_HOP_4=192.0.2.66', 'MORE_COMMUNITIES=64500:1')
    assert.deepEqual(await untilRoutes(1), [
      {
        prefix: '203.0.113.11/32',
        nextHop: '192.0.2.66',
        communities: [BLACKHOLE_COMMUNITY, 64500 * 65536 + 1],
      },
    ])
    await hook('203.0.113.11', 'unban')
    await untilRoutes(0)
  })

  const failures = [
    {
      title: 'no gobgpd at the address',
      env: 'GOBGP_API=127.0.0.1:50099',
      message: /deadline exceeded|refused/,
    },
    {
      title: 'a community that is none',
      env: 'COMMUNITIES=bla',
      message: /COMMUNITIES: not a community: 'bla'/,
    },
    { title: 'a next hop that is none', env: 'NEXT_HOP_4=bla', message: /NEXT_HOP_4: not an address: 'bla'/ },
  ]
  for (const { title, env, message } of failures) {
    it(`fails visibly with ${title}`, async () => {
      await assert.rejects(hook('203.0.113.12', 'ban', env), message)
    })
  }
})
