// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BLACKHOLE_COMMUNITY, type RouteChange, Speaker } from '@flowdam/scripts/lab/gobgp'
import { LabNetwork } from '@flowdam/scripts/lab/network'
import type { LabProcess } from '@flowdam/scripts/lab/process'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { runHook } from './run.js'
import type { SpeakerPlace, SpeakerUnderTest } from './speaker.js'

interface HookSuite {
  /** Its name below scripts/hooks. */
  hook: string
  speaker: (place: SpeakerPlace) => SpeakerUnderTest
  /** The speaker announces the bans again by itself when it starts. */
  remembers: boolean
  /** What the hook says while the speaker is not there. */
  absent: RegExp
  /** What only the speaker can tell is wrong, and the hook must pass on. */
  mistakes?: readonly Mistake[]
}

export interface Mistake {
  title: string
  /** In the hook's settings. */
  settings?: Readonly<Record<string, string>>
  /** In the speaker's configuration, or in the running speaker. */
  make?: (place: SpeakerPlace) => Promise<void>
  /** What the hook says with status 1. */
  message: RegExp
  /** Undoes what was made. */
  mend?: (place: SpeakerPlace) => Promise<void>
}

const HOST_4 = '203.0.113.10'
const HOST_6 = '2001:db8:1::a'
const PREFIXES = [`${HOST_4}/32`, `${HOST_6}/128`]

/** What each hook must do, against its real speaker and GoBGP as the router. */
export function describeHook({
  hook,
  speaker: makeSpeaker,
  remembers,
  absent,
  mistakes = [],
}: HookSuite): void {
  describe(`the ${hook} hook, its real speaker and a router`, () => {
    const network = new LabNetwork()
    const folder = mkdtempSync(join(tmpdir(), 'flowdam-hooks-'))
    chmodSync(folder, 0o755)
    const place = { namespace: network.namespaces.edge, folder }
    const speaker = makeSpeaker(place)
    const router = new Speaker(network, 'router')
    const changes: RouteChange[] = []
    let monitor: LabProcess | undefined

    before(async () => {
      await network.start()
      await router.start()
      monitor = router.watch((change) => changes.push(change))
      await speaker.start()
      await router.established()
    })
    after(async () => {
      await Promise.allSettled([speaker.stop(), monitor?.stop(), router.stop()])
      await network.stop()
      rmSync(folder, { recursive: true })
    })

    /** With the speaker's settings and these. */
    const run = (args: readonly string[], input = '', more: Record<string, string> = {}) =>
      runHook(network.namespaces.edge, hook, args, input, { ...speaker.settings, ...more })

    async function succeed(args: readonly string[], input = '', more: Record<string, string> = {}) {
      const end = await run(args, input, more)
      assert.deepEqual({ status: end.status, stderr: end.stderr }, { status: 0, stderr: '' }, args.join(' '))
      return end
    }

    const act = (action: 'ban' | 'unban', address: string, more: Record<string, string> = {}) =>
      succeed([address, 'incoming', '104233', action], 'IP: the report\n', more)

    /** The same; a hook that did not get its turn within 20 s, on a busy machine, is run again, as the aggregator does. */
    async function actInTurn(action: 'ban' | 'unban', address: string): Promise<void> {
      for (;;) {
        const { status, stderr } = await run([address, 'incoming', '104233', action], 'IP: the report\n')
        if (status === 1 && /another .* hook has held /.test(stderr)) continue
        assert.deepEqual({ status, stderr }, { status: 0, stderr: '' }, `${action} ${address}`)
        return
      }
    }

    /** The router's routes once their prefixes are these. */
    async function routes(prefixes: readonly string[]) {
      const wanted = [...prefixes].sort().join(' ')
      return waitFor(`the routes ${wanted || '(none)'} at the router`, async () => {
        const table = await router.routes()
        const found = table.map(({ prefix }) => prefix).sort()
        return found.join(' ') === wanted ? table : undefined
      })
    }

    /** When the router's table changed, measured from the start of the hook; the monitor may say so a moment later. */
    async function delayMs(prefix: string, present: boolean, startedAt: number): Promise<number> {
      const change = await waitFor(`the monitor to see ${prefix} ${present ? 'come' : 'go'}`, () =>
        changes.find(
          ({ at, route, present: is }) => route.prefix === prefix && is === present && at >= startedAt,
        ),
      )
      return change.at - startedAt
    }

    it('announces an address of each family with 65535:666, and again changes nothing', async (t) => {
      for (const address of [HOST_4, HOST_6]) {
        const { startedAt } = await act('ban', address)
        const prefix = PREFIXES.find((one) => one.startsWith(`${address}/`)) ?? ''
        await waitFor(prefix, () => router.route(prefix))
        t.diagnostic(
          `${hook}: hook started → ${prefix} in the router's table: ${await delayMs(prefix, true, startedAt)} ms`,
        )
      }
      const table = await routes(PREFIXES)
      assert.deepEqual(table, [
        { prefix: PREFIXES[0], nextHop: '192.0.2.1', communities: [BLACKHOLE_COMMUNITY] },
        { prefix: PREFIXES[1], nextHop: '100::1', communities: [BLACKHOLE_COMMUNITY] },
      ])
      for (const address of [HOST_4, HOST_6]) await act('ban', address)
      assert.deepEqual(await routes(PREFIXES), table)
    })

    it('withdraws them, and again does no harm', async (t) => {
      for (const address of [HOST_4, HOST_6]) {
        const { startedAt } = await act('unban', address)
        const prefix = PREFIXES.find((one) => one.startsWith(`${address}/`)) ?? ''
        await waitFor(`${prefix} to go`, async () => ((await router.route(prefix)) ? undefined : true))
        t.diagnostic(
          `${hook}: hook started → ${prefix} out of the router's table: ${await delayMs(prefix, false, startedAt)} ms`,
        )
      }
      for (const address of [HOST_4, HOST_6]) await act('unban', address)
      assert.deepEqual(await routes([]), [])
    })

    it('carries out ten bans and ten unbans at the same time', async () => {
      const addresses = Array.from({ length: 10 }, (_, i) => (i % 2 ? `2001:db8:1::${i}` : `203.0.113.${i}`))
      await Promise.all(addresses.map((address) => actInTurn('ban', address)))
      await routes(addresses.map((address) => `${address}/${address.includes(':') ? 128 : 32}`))
      await Promise.all(addresses.map((address) => actInTurn('unban', address)))
      await routes([])
    })

    it('announces with next hop and communities as configured', async () => {
      const more = {
        NEXT_HOP_4: '192.0.2.66',
        NEXT_HOP_6: '2001:db8:ffff::1',
        MORE_COMMUNITIES: 'no-export,64500:1',
        LARGE_COMMUNITIES: '64500:666:0',
        LOCAL_PREF: '200',
      }
      await succeed(['resync'], '203.0.113.0/25\n2001:db8:1:8000::/49\n', more)
      const communities = [BLACKHOLE_COMMUNITY, 65535 * 65536 + 65281, 64500 * 65536 + 1]
      // The old attributes may come first, where those of all our routes are one object of the speaker's.
      const table = await waitFor('the configured attributes', async () => {
        const now = await routes(['203.0.113.0/25', '2001:db8:1:8000::/49'])
        return now.every((route) => route.communities.length === communities.length) ? now : undefined
      })
      assert.deepEqual(
        table.map(({ communities: carried, ...rest }) => ({
          ...rest,
          communities: carried.toSorted((a, b) => a - b),
        })),
        [
          { prefix: '203.0.113.0/25', nextHop: '192.0.2.66' },
          { prefix: '2001:db8:1:8000::/49', nextHop: '2001:db8:ffff::1' },
        ].map((route) => ({ ...route, communities: communities.toSorted((a, b) => a - b) })),
      )
      await succeed(['resync', '--none'])
      await routes([])
    })

    it('resync makes the announcements equal to the list: adds, keeps, withdraws', async () => {
      for (const address of [HOST_4, HOST_6, '203.0.113.99']) await act('ban', address)
      const { stdout } = await succeed(['resync'], `${HOST_4}\n\n203.0.113.20/32\n2001:DB8:1:0::A\n`)
      assert.equal(stdout, '1 announced, 2 kept, 1 withdrawn\n')
      await routes([...PREFIXES, '203.0.113.20/32'])
      assert.equal(
        (await succeed(['resync'], PREFIXES.join('\n'))).stdout,
        '0 announced, 2 kept, 1 withdrawn\n',
      )
      await routes(PREFIXES)
    })

    it('refuses an empty list unless told that there is no ban', async () => {
      const { status, stderr } = await run(['resync'])
      assert.equal(status, 2)
      assert.match(stderr, /no prefix on standard input/)
      assert.equal((await router.routes()).length, 2)
    })

    it('announces again after the speaker was killed during a ban', async (t) => {
      await speaker.kill()
      await routes([])
      const { status, stderr } = await run([HOST_4, 'incoming', '1', 'ban'])
      assert.equal(status, 1)
      assert.match(stderr, absent)
      await speaker.start()
      await router.established()
      if (remembers) await routes(PREFIXES)
      const { startedAt } = await succeed(['resync'], PREFIXES.join('\n'))
      assert.deepEqual(await routes(PREFIXES), [
        { prefix: PREFIXES[0], nextHop: '192.0.2.1', communities: [BLACKHOLE_COMMUNITY] },
        { prefix: PREFIXES[1], nextHop: '100::1', communities: [BLACKHOLE_COMMUNITY] },
      ])
      if (!remembers) {
        const delays = await Promise.all(PREFIXES.map((prefix) => delayMs(prefix, true, startedAt)))
        t.diagnostic(`${hook}: resync started → both routes in the router's table: ${Math.max(...delays)} ms`)
      }
    })

    const wrong: readonly [string, Record<string, string>, RegExp][] = [
      ['a community that is none', { COMMUNITIES: '65536:666' }, /COMMUNITIES: not a community: '65536:666'/],
      ['a next hop of the other family', { NEXT_HOP_6: '192.0.2.1' }, /NEXT_HOP_6: not an IPv6 address/],
      ['a setting that does not exist', { COMUNITIES: '1:1' }, /\.conf:\d+: no setting is called COMUNITIES/],
    ]
    for (const [title, more, message] of wrong) {
      it(`fails with status 2 and a reason for ${title}, and changes nothing`, async () => {
        const { status, stderr } = await run(['203.0.113.50', 'incoming', '1', 'ban'], '', more)
        assert.equal(status, 2)
        assert.match(stderr, message)
        await routes(PREFIXES)
      })
    }

    for (const { title, settings, make, message, mend } of mistakes) {
      it(`fails with status 1 and a reason when ${title}`, async () => {
        await make?.(place)
        const { status, stderr } = await run(['203.0.113.50', 'incoming', '1', 'ban'], '', settings)
        assert.equal(status, 1)
        assert.match(stderr, message)
        await mend?.(place)
        await act('ban', '203.0.113.50')
        await routes([...PREFIXES, '203.0.113.50/32'])
      })
    }
  })
}
