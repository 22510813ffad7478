// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type FlowRule, Speaker } from '@flowdam/scripts/lab/gobgp'
import { LabNetwork } from '@flowdam/scripts/lab/network'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { runHook } from './run.js'
import type { SpeakerPlace, SpeakerUnderTest } from './speaker.js'

interface FlowSpecSuite {
  /** Its name below scripts/hooks. */
  hook: string
  speaker: (place: SpeakerPlace) => SpeakerUnderTest
  /** What the hook says while the speaker is not there. */
  absent: RegExp
}

const V4 = '203.0.113.10'
const V6 = '2001:db8:1::a'
const NO_EXPORT = 65535 * 65536 + 65281

/** What each FlowSpec hook must do, against its real speaker and GoBGP as the router. */
export function describeFlowSpecHook({ hook, speaker: makeSpeaker, absent }: FlowSpecSuite): void {
  describe(`the ${hook} hook, its real speaker and a router`, () => {
    const network = new LabNetwork()
    const folder = mkdtempSync(join(tmpdir(), 'flowdam-hooks-'))
    chmodSync(folder, 0o755)
    const speaker = makeSpeaker({ namespace: network.namespaces.edge, folder })
    const router = new Speaker(network, 'router')

    before(async () => {
      await network.start()
      await router.start()
      await speaker.start()
      await router.established()
    })
    after(async () => {
      await Promise.allSettled([speaker.stop(), router.stop()])
      await network.stop()
      rmSync(folder, { recursive: true })
    })

    const run = (args: readonly string[], input = '', more: Record<string, string> = {}) =>
      runHook(network.namespaces.edge, hook, args, input, {
        ...speaker.settings,
        FLOWSPEC_FOLDER: join(folder, 'rules'),
        ...more,
      })

    async function succeed(args: readonly string[], input = '', more: Record<string, string> = {}) {
      const end = await run(args, input, more)
      assert.deepEqual({ status: end.status, stderr: end.stderr }, { status: 0, stderr: '' }, args.join(' '))
      return end
    }

    /** A ban as the aggregator runs it; the match comes in the environment. */
    const ban = (address: string, match: string, direction = 'incoming', more: Record<string, string> = {}) =>
      withMatch(match, () => succeed([address, direction, '104233', 'ban'], 'IP: the report\n', more))

    const unban = (address: string) => succeed([address, 'incoming', '104233', 'unban'])

    /** The router's rules once their matches are these. */
    async function rules(matches: readonly string[]): Promise<FlowRule[]> {
      const wanted = matches.map(asGobgp).sort().join('\n')
      return waitFor(`the rules ${wanted || '(none)'} at the router`, async () => {
        const table = await router.flowRules()
        return table
          .map(({ match }) => match)
          .sort()
          .join('\n') === wanted
          ? table
          : undefined
      })
    }

    for (const [title, address, match, expected] of [
      [
        'DNS amplification: answers from port 53, and their fragments',
        V4,
        'protocol 17 source-port 53 fragments',
        [
          `[destination: ${V4}/32][protocol: 17][source-port: 53]`,
          `[destination: ${V4}/32][protocol: 17][fragment]`,
        ],
      ],
      [
        'SYN flood: SYN without ACK',
        V4,
        'protocol 6 tcp-flags syn',
        [`[destination: ${V4}/32][protocol: 6][syn]`],
      ],
      ['fragments: of any protocol', V4, 'fragments', [`[destination: ${V4}/32][fragment]`]],
      ['ICMP over IPv6', V6, 'protocol 58', [`[destination: ${V6}/128][protocol: 58]`]],
      ['UDP over IPv6', V6, 'protocol 17', [`[destination: ${V6}/128][protocol: 17]`]],
      ['what nothing tells apart: the address', V4, '', [`[destination: ${V4}/32]`]],
    ] as const) {
      it(`${title}: discarded, again changes nothing, and withdrawn`, async (t) => {
        const { startedAt } = await ban(address, match)
        const table = await rules(expected)
        t.diagnostic(`${hook}: hook started → rule seen in the router's table: ${Date.now() - startedAt} ms`)
        assert.deepEqual(
          table.map(({ rate }) => rate),
          table.map(() => 0),
        )
        await ban(address, match)
        assert.deepEqual(await rules(expected), table)
        await unban(address)
        await rules([])
        await unban(address)
      })
    }

    it('an outgoing attack is matched by its source', async () => {
      await ban(V4, 'protocol 17', 'outgoing')
      await rules([`[source: ${V4}/32][protocol: 17]`])
      await unban(V4)
      await rules([])
    })

    it('a ban again with another match replaces the rules', async () => {
      await ban(V4, 'protocol 17 source-port 53 fragments')
      await ban(V4, 'protocol 17')
      await rules([`[destination: ${V4}/32][protocol: 17]`])
      await unban(V4)
      await rules([])
    })

    it('slows down instead, with communities, as configured', async () => {
      const more = { FLOWSPEC_ACTION: 'rate-limit 125000', MORE_COMMUNITIES: 'no-export,64500:1' }
      await ban(V4, 'protocol 17', 'incoming', more)
      const [rule] = await rules([`[destination: ${V4}/32][protocol: 17]`])
      assert.equal(rule?.rate, 125_000)
      assert.deepEqual(rule.communities.toSorted(), [NO_EXPORT, 64500 * 65536 + 1].toSorted())
      // Changed settings take effect at the next ban or resync.
      await succeed(['resync'], V4)
      await waitFor('the action to change', async () => {
        const [now] = await router.flowRules()
        return now?.rate === 0 && now.communities.length === 0 ? true : undefined
      })
      await succeed(['resync', '--none'])
      await rules([])
    })

    it('announces the same rules by resync after the speaker was killed', async () => {
      await ban(V4, 'protocol 17 source-port 123 fragments')
      await ban(V6, 'protocol 6 tcp-flags syn')
      const all = [
        `[destination: ${V4}/32][protocol: 17][source-port: 123]`,
        `[destination: ${V4}/32][protocol: 17][fragment]`,
        `[destination: ${V6}/128][protocol: 6][syn]`,
      ]
      await rules(all)
      await speaker.kill()
      await rules([])
      const { status, stderr } = await withMatch('protocol 17', () => run([V4, 'incoming', '1', 'unban']))
      assert.equal(status, 1)
      assert.match(stderr, absent)
      await speaker.start()
      await router.established()
      const { stdout } = await succeed(['resync'], `${V4}\n${V6}\n203.0.113.20\n`)
      assert.equal(stdout, '1 announced, 2 kept, 0 withdrawn\n')
      await rules([...all, '[destination: 203.0.113.20/32]'])
      assert.equal((await succeed(['resync'], V6)).stdout, '0 announced, 1 kept, 2 withdrawn\n')
      await rules([`[destination: ${V6}/128][protocol: 6][syn]`])
    })
  })
}

/** As GoBGP writes a rule that has travelled. */
function asGobgp(words: string): string {
  const names: Record<string, string> = { 6: 'tcp', 17: 'udp' }
  return (
    words
      .replace(/protocol: (\d+)/, (_, number: string) => `protocol: ==${names[number] ?? number}`)
      .replace(/source-port: /, 'source-port: ==')
      .replace('[syn]', '[tcp-flags: S&!A]')
      .replace('[fragment]', '[fragment: is-fragment]')
      // RFC 8956 section 3.1: IPv6 prefixes have an offset.
      .replace(/(\/128)\]/, '$1/0]')
  )
}

/** The hook inherits our environment, as it does the aggregator's. */
async function withMatch<T>(match: string, act: () => Promise<T>): Promise<T> {
  process.env['FLOWDAM_MATCH'] = match
  try {
    return await act()
  } finally {
    delete process.env['FLOWDAM_MATCH']
  }
}
