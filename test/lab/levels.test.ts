// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Ban } from '@flowdam/proto'
import { commandIn } from '@flowdam/scripts/lab/commands'
import { Lab } from '@flowdam/scripts/lab/lab'
import type { Traffic } from '@flowdam/scripts/lab/traffic'
import { waitFor } from '@flowdam/scripts/lab/wait'

const THRESHOLD_PPS = 2000
const VICTIM = '203.0.113.20'
const CUSTOMERS = 'customers'

// One line for each call: hook, action, level, what the level does.
const RECORD = `#!/bin/sh
cat > /dev/null
echo "$FLOWDAM_HOOK $FLOWDAM_ACTION $FLOWDAM_LEVEL $FLOWDAM_LEVEL_ACTION" >> "$(dirname "$0")/calls"
echo "told of $FLOWDAM_PREFIX"
`

describe('an attack that grows past each level, with real packets', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-levels-'))
  const script = join(folder, 'record.sh')
  const hook = (name: string) => ({ name, run: [script], format: 'json' as const, timeout: '30s' })
  const lab = new Lab({
    thresholdPps: THRESHOLD_PPS,
    bgp: false,
    hooks: [hook('mail'), hook('bgp')],
    agent: { drop_rules: true },
    aggregator: {
      ban: {
        duration: '3s',
        levels: {
          notice: { at: 1, action: 'notify', hooks: ['mail'], quiet: '3s' },
          filter: { at: 3, action: 'drop', quiet: '3s' },
          blackhole: { at: 8, action: 'blackhole', hooks: ['bgp'] },
        },
      },
    },
  })
  const calls = () => {
    const file = join(folder, 'calls')
    return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : []
  }
  const ban = async (): Promise<Ban | undefined> => (await lab.daemons.api.listBans(true)).bans[0]
  const banAt = (level: string) =>
    waitFor(`the ban at level ${level}`, async () => {
      const found = await ban()
      return found?.level === level ? found : undefined
    })
  const forwarded = async () => {
    const path = `/sys/class/net/${CUSTOMERS}/statistics/tx_packets`
    return Number(await commandIn(lab.network.namespaces.edge, 'cat', [path]))
  }
  let sent = 0
  let flooding: Traffic | undefined
  /** From now on so many times the threshold; without a pause, in which the attack would go down a level. */
  const flood = async (times: number) => {
    const before = flooding
    flooding = lab.send({
      from: 'internet',
      args: ['--profile', 'udp-flood', '--victim', VICTIM, '--rate', String(THRESHOLD_PPS * times)],
    })
    if (before) sent += (await before.stop()).packets
  }

  before(async () => {
    writeFileSync(script, RECORD, { mode: 0o755 })
    await lab.start()
  })
  after(async () => {
    await lab.stop()
    rmSync(folder, { recursive: true })
  })

  it('at once its threshold has people told, and packets pass', async () => {
    await flood(1.6)
    await banAt('notice')
    await waitFor('the hook', () => (calls().length > 0 ? true : undefined))
    assert.deepEqual(calls(), ['mail ban notice notify'])
    assert.equal((await ban())?.drops, false)
    const before = await forwarded()
    await waitFor('packets to pass', async () => (await forwarded()) - before > THRESHOLD_PPS)
  })

  it('at three times is dropped in the kernel of the edge, counted by rule, and seen all the same', async () => {
    await flood(4.5)
    await banAt('filter')
    await waitFor('the rule in force', async () => ((await ban())?.dropAgents === 1 ? true : undefined))
    const before = await forwarded()
    const dropped = (await ban())?.droppedPackets ?? 0
    await waitFor('the count', async () => ((await ban())?.droppedPackets ?? 0) > dropped + 2 * THRESHOLD_PPS)
    assert.equal((await forwarded()) - before, 0, 'nothing passes')
    const now = await ban()
    assert.equal(now?.state, 'banned')
    assert.equal(now?.steps.length, 2)
  })

  it('at eight times has the blackhole hook run, without another ban', async () => {
    const { id } = (await ban()) ?? {}
    await flood(12)
    const blackholed = await banAt('blackhole')
    assert.equal(blackholed.id, id)
    assert.deepEqual(
      blackholed.steps.map(({ level, action }) => `${level} ${action}`),
      ['notice notify', 'filter drop', 'blackhole blackhole'],
    )
    await waitFor('the hook', () => (calls().includes('bgp ban blackhole blackhole') ? true : undefined))
    sent += (await flooding?.stop())?.packets ?? 0
  })

  it('every packet passed or was dropped by a rule', async () => {
    let sums = ''
    await waitFor('all to be counted', async () => {
      const [passed, dropped] = [await forwarded(), (await ban())?.droppedPackets ?? 0]
      sums = `${passed} passed, ${dropped} dropped, ${sent} sent`
      return passed + dropped >= sent
    }).catch((error: unknown) => assert.fail(`${sums}: ${error}`))
    assert.equal((await forwarded()) + ((await ban())?.droppedPackets ?? 0), sent, sums)
  })

  it('when it is over: every hook that was told is told of the end, and packets pass again', async () => {
    await waitFor('the end', async () => ((await ban())?.state === 'unbanned' ? true : undefined))
    await waitFor('both hooks', () => (calls().length === 4 ? true : undefined))
    assert.deepEqual(calls().slice(2).sort(), [
      'bgp unban blackhole blackhole',
      'mail unban blackhole blackhole',
    ])
    await waitFor('packets to pass', async () => {
      const before = await forwarded()
      const { packets } = await lab
        .send({
          from: 'internet',
          args: ['--profile', 'udp-flood', '--victim', VICTIM, '--count', '50', '--rate', '500'],
        })
        .ended()
      return (await forwarded()) - before >= packets ? true : undefined
    })
  })
})
