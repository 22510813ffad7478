// SPDX-License-Identifier: Apache-2.0
//
// What must come true in the end, whatever hooks do: every ban announced, every one withdrawn, none held up by another's
// hook. Hooks are functions here; runner.test.ts has processes.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Ban, type HookRun, NOTHING_DROPPED } from '../bans/ban.js'
import { ONE_LEVEL } from '../bans/levels.js'
import { NO_RATES } from '../detect/sample.js'
import { DropCounter } from '../drops.js'
import { until } from '../testing/daemon.js'
import { quietLog } from '../testing/quiet-log.js'
import type { Hook } from './hook.js'
import { type HookCommand, type HookOutcome, runHook } from './process.js'
import { HookRunner, type HookRunnerOptions } from './runner.js'

const hook = (name: string, more: Partial<Hook> = {}): Hook => ({
  name,
  run: [`/${name}`],
  format: 'fastnetmon',
  timeoutMs: 20_000,
  retries: 0,
  backoffMs: 1,
  retryEveryMs: 1,
  updatesMs: 0,
  env: {},
  ...more,
})

let bans = 0
const ban = (address: string, more: Partial<Ban> = {}): Ban => {
  const cause = { who: 'detector', metric: 'pps', threshold: 1000, value: 2000 }
  return {
    id: `ban-${++bans}`,
    prefix: `${address}/32`,
    direction: 'incoming',
    state: 'banned',
    ...cause,
    rates: NO_RATES,
    averages: NO_RATES,
    round: 0,
    attackId: '',
    attackType: '',
    hostgroup: '',
    detectedUnixMs: 1,
    bannedUnixMs: Date.now(),
    untilUnixMs: 2,
    lastSeenUnixMs: 1,
    steps: [{ ...ONE_LEVEL, ...cause, atUnixMs: 1, drops: false }],
    dropped: NOTHING_DROPPED,
    unbannedUnixMs: 0,
    reason: '',
    endedBy: '',
    endReason: '',
    holdOffUntilUnixMs: 0,
    dryRun: false,
    settled: false,
    hooks: [],
    ...more,
  }
}

const OK: HookOutcome = { result: 'ok', exitCode: 0, output: '' }
const FAILED: HookOutcome = { result: 'failed', exitCode: 1, output: '' }

/** Calls as "/program ADDRESS ACTION", in the order in which they began. */
function scene(
  hooks: Hook[],
  answer: (call: string) => HookOutcome | Promise<HookOutcome>,
  more: Partial<HookRunnerOptions> = {},
) {
  const calls: string[] = []
  const settled: string[] = []
  const runs: HookRun[] = []
  const drops = new DropCounter()
  const runner = new HookRunner({
    hooks,
    parallel: 2,
    drops,
    log: quietLog(),
    onRun: (_id, run) => runs.push(run),
    onSettled: (id) => settled.push(id),
    runProcess: async ({ file, args }: HookCommand, onStart) => {
      const call = `${file} ${args[0]} ${args[3]}`
      calls.push(call)
      onStart()
      return answer(call)
    },
    ...more,
  })
  const run = (action: 'ban' | 'unban', which: Ban) => runner.run(action, which, performance.now(), 'all')
  return { runner, calls, settled, runs, drops, run }
}

function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

describe('a speaker that is away', () => {
  it('gets the ban as soon as it is back, and its end, though every quick retry was used up', async () => {
    let there = false
    const s = scene([hook('bgp', { retries: 1 })], () => (there ? OK : FAILED))
    const one = ban('203.0.113.1')
    s.run('ban', one)
    await until('more than the quick attempts', () => s.calls.length > 4)
    there = true
    await until('the ban', () => s.runs.at(-1)?.result === 'ok')
    there = false
    s.run('unban', one)
    await until('attempts to withdraw', () => s.calls.filter((call) => call.endsWith('unban')).length > 4)
    assert.deepEqual(s.settled, [])
    there = true
    await until('the end', () => s.settled.length === 1)
    assert.equal(s.drops.get('hooks', 'gave_up'), 0)
    assert.equal(s.runner.running, 0)
    await s.runner.stop(1000)
  })

  it('is not waited for by what need not come true', async () => {
    const s = scene([hook('mail', { retryEveryMs: 0, retries: 2 })], () => FAILED)
    s.run('unban', ban('203.0.113.1'))
    await until('the end', () => s.settled.length === 1)
    assert.equal(s.calls.length, 3)
    assert.equal(s.drops.get('hooks', 'gave_up'), 1)
    await s.runner.stop(1000)
  })
})

describe('places', () => {
  it('are each hook’s own: one that hangs holds up no other', async () => {
    const { opened, open } = gate()
    const s = scene([hook('mail'), hook('bgp')], async (call) => {
      if (call.startsWith('/mail')) await opened
      return OK
    })
    const addresses = Array.from({ length: 20 }, (_, i) => `203.0.113.${i}`)
    for (const address of addresses) s.run('ban', ban(address))
    await until('all at the speaker', () => s.calls.filter((call) => call.startsWith('/bgp')).length === 20)
    assert.equal(s.calls.filter((call) => call.startsWith('/mail')).length, 2)
    open()
    await until('all', () => s.calls.length === 40)
    await s.runner.stop(1000)
  })

  it('go to what was just decided before what is said again', async () => {
    const { opened, open } = gate()
    const s = scene([hook('bgp')], async () => {
      await opened
      return OK
    })
    for (let i = 1; i <= 9; i++) s.runner.run('ban', ban(`203.0.113.${i}`), undefined, 'all')
    s.run('ban', ban('203.0.113.100'))
    open()
    await until('all', () => s.calls.length === 10)
    assert.equal(s.calls[2], '/bgp 203.0.113.100 ban')
    await s.runner.stop(1000)
  })
})

describe('a hook that a reload changed', () => {
  it('takes back what it announced as it was before, and as it is now', async () => {
    const s = scene([hook('bgp', { run: ['/old'] }), hook('same')], () => OK)
    const one = ban('203.0.113.1')
    s.run('ban', one)
    await until('the ban', () => s.calls.length === 2)
    const fresh = s.runner.reconfigure([hook('bgp', { run: ['/new'] }), hook('same', { timeoutMs: 5 })], 2)
    assert.deepEqual(fresh, ['bgp'])
    s.run('unban', one)
    await until('the unbans', () => s.settled.length === 1)
    assert.deepEqual(s.calls.slice(2).sort(), [
      '/new 203.0.113.1 unban',
      '/old 203.0.113.1 unban',
      '/same 203.0.113.1 unban',
    ])
    // What was banned after the change, the old one knows nothing of.
    const later = ban('203.0.113.2', { bannedUnixMs: Date.now() + 1000 })
    s.run('ban', later)
    s.run('unban', later)
    await until('the later one', () => s.settled.length === 2)
    assert.ok(!s.calls.includes('/old 203.0.113.2 unban'))
    // And back again: once is enough.
    s.runner.reconfigure([hook('bgp', { run: ['/old'] })], 2)
    const calls = s.calls.length
    s.run('unban', one)
    await until('the unbans', () => s.settled.length === 3)
    assert.deepEqual(s.calls.slice(calls).sort(), ['/new 203.0.113.1 unban', '/old 203.0.113.1 unban'])
    await s.runner.stop(1000)
  })

  it('stops trying to announce as it was, and goes on trying to withdraw as it is', async () => {
    let broken = true
    const s = scene([hook('bgp', { run: ['/old'] })], (call) =>
      broken || call.startsWith('/old') ? FAILED : OK,
    )
    const one = ban('203.0.113.1')
    s.run('ban', one)
    await until('some attempts', () => s.calls.length > 3)
    s.runner.reconfigure([hook('bgp', { run: ['/new'] })], 2)
    s.run('ban', one)
    await until('the new one', () => s.calls.filter((call) => call.startsWith('/new')).length > 2)
    const old = s.calls.filter((call) => call.startsWith('/old')).length
    await until('more', () => s.calls.filter((call) => call.startsWith('/new')).length > 6)
    assert.equal(s.calls.filter((call) => call.startsWith('/old')).length, old)
    broken = false
    await until('success', () => s.runs.at(-1)?.result === 'ok')
    await s.runner.stop(1000)
  })
})

describe('what cannot be told of a ban', () => {
  it('costs the attempt, not the aggregator, and no place', async () => {
    let broken = true
    const s = scene([hook('bgp')], () => OK, {
      attackOf: () => {
        if (broken) throw new Error('no such attack')
        return undefined
      },
    })
    for (let i = 1; i <= 5; i++) s.run('ban', ban(`203.0.113.${i}`))
    await until('failed attempts', () => s.runs.filter(({ result }) => result === 'failed').length > 5)
    assert.match(s.runs[0]?.output ?? '', /no such attack/)
    broken = false
    await until('all five', () => s.calls.length === 5)
    await until('no place taken', () => s.runner.running === 0)
    await s.runner.stop(1000)
  })
})

describe('a hook that nobody here may end', () => {
  it('is left alone after its time, and what follows goes ahead', async () => {
    let pid = 0
    const kill = (group: number) => {
      pid = -group
      throw Object.assign(new Error('EPERM'), { code: 'EPERM' })
    }
    const command = { file: '/bin/sleep', args: ['60'], stdin: '', env: {}, timeoutMs: 50 }
    const outcome = await runHook(command, () => {}, kill)
    assert.equal(outcome.result, 'timeout')
    assert.match(outcome.output, /still running/)
    process.kill(pid, 'SIGKILL')
  })
})
