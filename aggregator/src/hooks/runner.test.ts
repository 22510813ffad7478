// SPDX-License-Identifier: Apache-2.0
//
// Real processes; no root.
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'

import { type Ban, type HookRun, NOTHING_DROPPED } from '../bans/ban.js'
import { ONE_LEVEL } from '../bans/levels.js'
import { NO_RATES } from '../detect/sample.js'
import { DropCounter } from '../drops.js'
import { until } from '../testing/daemon.js'
import { quietLog } from '../testing/quiet-log.js'
import type { Hook } from './hook.js'
import { HookLauncher } from './launcher.js'
import { OUTPUT_BYTES } from './process.js'
import { HookRunner } from './runner.js'

const folder = mkdtempSync(join(tmpdir(), 'flowdam-hooks-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** For a script; ends with the folder, too, if a test fails before it opens the gate. */
const waitsFor = (gate: string) => `while [ -d ${folder} ] && [ ! -e ${gate} ]; do sleep 0.02; done`

let scripts = 0
function script(body: string): string {
  const file = join(folder, `hook-${++scripts}.sh`)
  writeFileSync(file, `#!/bin/sh\n${body}\n`)
  chmodSync(file, 0o755)
  return file
}

const hook = (file: string, more: Partial<Hook> = {}): Hook => ({
  name: 'test',
  run: [file],
  format: 'fastnetmon',
  timeoutMs: 20_000,
  retries: 0,
  backoffMs: 10,
  retryEveryMs: 0,
  updatesMs: 0,
  env: {},
  ...more,
})

let bans = 0
const ban = (prefix: string): Ban => ({
  id: `ban-${++bans}`,
  prefix,
  direction: 'incoming',
  state: 'banned',
  metric: 'pps',
  threshold: 1000,
  value: 2000,
  rates: NO_RATES,
  averages: NO_RATES,
  round: 0,
  attackId: '',
  attackType: '',
  hostgroup: 'web',
  detectedUnixMs: 1,
  bannedUnixMs: 1,
  untilUnixMs: 2,
  lastSeenUnixMs: 1,
  steps: [
    { ...ONE_LEVEL, atUnixMs: 1, who: 'detector', metric: 'pps', threshold: 1000, value: 2000, drops: false },
  ],
  dropped: NOTHING_DROPPED,
  unbannedUnixMs: 0,
  who: 'detector',
  reason: '',
  endedBy: '',
  endReason: '',
  holdOffUntilUnixMs: 0,
  dryRun: false,
  settled: false,
  hooks: [],
})

function scene(hooks: Hook[], parallel = 4) {
  const runs: (HookRun & { ban: string })[] = []
  const settled: string[] = []
  const drops = new DropCounter()
  const runner = new HookRunner({
    hooks,
    parallel,
    drops,
    log: quietLog(),
    onRun: (id, run) => runs.push({ ...run, ban: id }),
    onSettled: (id) => settled.push(id),
  })
  return {
    runner,
    runs,
    settled,
    drops,
    ended: () => runs.filter((run) => run.result !== 'running'),
    run: (action: 'ban' | 'unban', which: Ban) => runner.run(action, which, performance.now(), 'all'),
  }
}

const alive = (pid: number): boolean => {
  try {
    // A zombie whose parent has not looked yet is dead enough.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

describe('a hook that a reload took away', () => {
  it('still takes back what it announced, and nothing else; left out is who must not be told', async () => {
    const trace = join(folder, 'former')
    const gate = join(folder, 'former-gate')
    const old = hook(script(`echo "$1 $4" >> ${trace}`), { name: 'old' })
    const late = hook(script(`${waitsFor(gate)}; echo "late $1 $4" >> ${trace}`), {
      name: 'late',
    })
    const s = scene([old, late])
    const [first, second] = [ban('203.0.113.1/32'), ban('203.0.113.2/32')]
    s.run('ban', first)
    await until('old', () => s.ended().length === 1)
    s.runner.reconfigure([hook(script(`echo "new $1 $4" >> ${trace}`), { name: 'new' })], 4)
    s.run('ban', second)
    const withHistory = { ...first, hooks: s.runs.filter((run) => run.ban === first.id) }
    s.run('unban', withHistory)
    s.runner.run('unban', second, 0, 'all', ['new'])
    writeFileSync(gate, '')
    await until('all', () => s.settled.length === 2)
    const lines = readFileSync(trace, 'utf8').trim().split('\n')
    assert.deepEqual(lines.sort(), [
      ...['203.0.113.1 ban', '203.0.113.1 unban', 'late 203.0.113.1 ban', 'late 203.0.113.1 unban'],
      ...['new 203.0.113.1 unban', 'new 203.0.113.2 ban'],
    ])
  })
})

describe('a webhook', () => {
  it('gets the JSON document by POST, is tried again on failure, and ends at its time limit', async () => {
    const asked: { action: string; prefix: string; token: string | undefined }[] = []
    let answer: (response: ServerResponse) => void = (response) => response.end('noted')
    const server = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      request.on('end', () => {
        const { action, prefix } = JSON.parse(body)
        asked.push({ action, prefix, token: request.headers.authorization })
        answer(response)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const webhook = { run: [], url: `http://127.0.0.1:${port}/`, format: 'json' as const }
    const s = scene([hook('', { ...webhook, headers: { authorization: 'Bearer x' }, retries: 1 })])
    s.run('ban', ban('203.0.113.9/32'))
    await until('the call', () => s.ended().length === 1)
    assert.deepEqual(asked, [{ action: 'ban', prefix: '203.0.113.9/32', token: 'Bearer x' }])
    assert.equal(s.ended()[0]?.result, 'ok')
    assert.equal(s.ended()[0]?.output, 'HTTP 200 noted')

    answer = (response) => {
      response.statusCode = asked.length === 2 ? 503 : 204
      response.end()
    }
    s.run('unban', ban('203.0.113.9/32'))
    await until('the second attempt', () => s.ended().length === 3)
    assert.deepEqual(
      s.ended().map(({ result, exitCode }) => `${result} ${exitCode}`),
      ['ok 0', 'failed 503', 'ok 0'],
    )

    answer = (response) => {
      response.write('taken')
      setTimeout(() => response.destroy(), 20)
    }
    const cut = scene([hook('', webhook)])
    cut.run('ban', ban('203.0.113.9/32'))
    await until('the answer that is cut', () => cut.ended().length === 1)
    assert.deepEqual([cut.ended()[0]?.result, cut.ended()[0]?.output], ['ok', 'HTTP 200 taken'])

    answer = () => {}
    const slow = scene([hook('', { ...webhook, timeoutMs: 100 })])
    slow.run('ban', ban('203.0.113.9/32'))
    await until('the time limit', () => slow.ended().length === 1)
    assert.equal(slow.ended()[0]?.result, 'timeout')
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    const closed = createServer()
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(closed.address() as AddressInfo).port}/`
    await new Promise((resolve) => closed.close(resolve))
    const gone = scene([hook('', { ...webhook, url })])
    gone.run('ban', ban('203.0.113.9/32'))
    await until('the refusal', () => gone.ended().length === 1)
    assert.match(gone.ended()[0]?.output ?? '', /ECONNREFUSED/)
  })
})

describe('the hook launcher', () => {
  it('carries hooks out as this process would, and is replaced when it dies', async () => {
    const launcher = new HookLauncher(quietLog())
    launcher.start()
    const command = {
      file: script('cat; echo " $1 $WHO"; exit 3'),
      args: ['arg'],
      stdin: 'in',
      env: { WHO: 'me' },
      timeoutMs: 120_000,
    }
    let started = 0
    const outcome = await launcher.run(command, () => started++)
    assert.deepEqual([outcome, started], [{ result: 'failed', exitCode: 3, output: 'in arg me\n' }, 1])
    const pidFile = join(folder, 'launcher')
    const gate = join(folder, 'launcher-gate')
    const body = `echo $PPID > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; ${waitsFor(gate)}`
    const waiting = launcher.run({ ...command, file: script(body) }, () => {})
    await until('the launcher’s pid', () => existsSync(pidFile))
    const pid = Number(readFileSync(pidFile, 'utf8'))
    assert.notEqual(pid, process.pid)
    process.kill(pid, 'SIGKILL')
    assert.equal((await waiting).result, 'failed')
    // At once in this process, later in a new launcher.
    assert.equal((await launcher.run(command, () => {})).exitCode, 3)
    launcher.stop()
    writeFileSync(gate, '')
  })

  it('ends when its parent does', async () => {
    const launcher = new HookLauncher(quietLog())
    launcher.start()
    const pidFile = join(folder, 'launcher2')
    await launcher.run(
      { file: script(`echo $PPID > ${pidFile}`), args: [], stdin: '', env: {}, timeoutMs: 120_000 },
      () => {},
    )
    launcher.stop()
    const pid = Number(readFileSync(pidFile, 'utf8'))
    await until('its end', () => !alive(pid))
  })
})

describe('hooks', () => {
  it('keeps exit status and the first 4 KiB of output', async () => {
    const s = scene([hook(script('cat > /dev/null; yes x | head -c 100000; echo bad >&2; exit 7'))])
    s.run('ban', ban('203.0.113.1/32'))
    await until('the end', () => s.ended().length === 1)
    assert.equal(s.ended()[0]?.result, 'failed')
    assert.equal(s.ended()[0]?.exitCode, 7)
    assert.equal(s.ended()[0]?.output.length, OUTPUT_BYTES)
    assert.equal(s.drops.get('hooks', 'gave_up'), 1)
  })

  it('runs no shell: what a name says is never executed', async () => {
    const file = join(folder, 'argv')
    const s = scene([
      hook(script(`printf '%s\\n' "$@" > ${file}`), {
        run: [script(`printf '%s\\n' "$@" > ${file}`), '$(touch /tmp/x)', 'a b'],
      }),
    ])
    s.run('ban', ban('203.0.113.1/32'))
    await until('the end', () => s.ended().length === 1)
    assert.deepEqual(readFileSync(file, 'utf8').trim().split('\n'), [
      '$(touch /tmp/x)',
      'a b',
      '203.0.113.1',
      'incoming',
      '0',
      'ban',
    ])
  })

  it('ends a hook that hangs with everything it started: TERM, then KILL', async () => {
    const pids = join(folder, 'pids')
    const file = script(
      `trap '' TERM; sleep 1000 & echo $$ $! > ${pids}.new; mv ${pids}.new ${pids}; while :; do sleep 1; done`,
    )
    // On a busy machine it may be over before the hook has begun.
    for (let timeoutMs = 300; !existsSync(pids); timeoutMs *= 4) {
      const s = scene([hook(file, { timeoutMs })])
      s.run('ban', ban('203.0.113.1/32'))
      await until('the end', () => s.ended().length === 1)
      assert.equal(s.ended()[0]?.result, 'timeout')
      assert.equal(s.ended()[0]?.exitCode, -1)
    }
    const started = readFileSync(pids, 'utf8').trim().split(' ').map(Number)
    await until('no process left', () => started.every((pid) => !alive(pid)))
  })

  it('does not wait for a child that a hook leaves behind', async () => {
    const gate = join(folder, 'child-gate')
    const s = scene([hook(script(`(${waitsFor(gate)}) & echo started`))])
    s.run('ban', ban('203.0.113.1/32'))
    await until('the end', () => s.ended().length === 1)
    assert.equal(s.ended()[0]?.result, 'ok')
    assert.equal(s.ended()[0]?.output, 'started\n')
    writeFileSync(gate, '')
  })

  it('tries again with pauses until it works', async () => {
    const counter = join(folder, 'tries')
    const file = script(`echo x >> ${counter}; [ $(wc -l < ${counter}) -ge 3 ]`)
    const s = scene([hook(file, { retries: 5 })])
    s.run('ban', ban('203.0.113.1/32'))
    await until('three attempts', () => s.ended().length === 3)
    assert.deepEqual(
      s.ended().map((run) => [run.attempt, run.result]),
      [
        [1, 'failed'],
        [2, 'failed'],
        [3, 'ok'],
      ],
    )
    assert.equal(s.drops.get('hooks', 'gave_up'), 0)
  })

  it('says so when the program is not there, and when it reads nothing', async () => {
    const gone = scene([hook('/no/such/program')])
    gone.run('ban', ban('203.0.113.1/32'))
    await until('the end', () => gone.ended().length === 1)
    assert.match(gone.ended()[0]?.output ?? '', /ENOENT/)
    const deaf = scene([hook(script('exec <&-; exit 0'))])
    deaf.run('ban', ban('203.0.113.1/32'))
    await until('the end', () => deaf.ended().length === 1)
    assert.equal(deaf.ended()[0]?.result, 'ok')
  })

  it('keeps the order for a prefix and runs prefixes in parallel, up to the limit', async () => {
    const trace = join(folder, 'trace')
    const gate = join(folder, 'gate')
    const file = script(`echo "begin $1 $4" >> ${trace}; ${waitsFor(gate)}; echo "end $1 $4" >> ${trace}`)
    const s = scene([hook(file)], 2)
    const first = ban('203.0.113.1/32')
    s.run('ban', first)
    s.run('unban', first)
    s.run('ban', ban('203.0.113.2/32'))
    s.run('ban', ban('203.0.113.3/32'))
    const lines = () => (existsSync(trace) ? readFileSync(trace, 'utf8').trim().split('\n') : [])
    await until('two at a time', () => lines().length === 2)
    assert.deepEqual(lines().sort(), ['begin 203.0.113.1 ban', 'begin 203.0.113.2 ban'])
    assert.equal(s.runner.running, 2)
    writeFileSync(gate, '')
    await until('all four', () => s.ended().length === 4)
    const all = lines()
    assert.ok(all.indexOf('end 203.0.113.1 ban') < all.indexOf('begin 203.0.113.1 unban'))
    assert.deepEqual(s.settled, [first.id])
    assert.equal(s.runner.running, 0)
  })

  it('does not let retries of a ban hold up its unban', async () => {
    const s = scene([hook(script('[ "$4" = unban ]'), { retries: 100, backoffMs: 600_000 })])
    const one = ban('203.0.113.1/32')
    s.run('ban', one)
    await until('the first failure', () => s.ended().length === 1)
    s.run('unban', one)
    await until('the unban', () => s.settled.length === 1)
    assert.deepEqual(
      s.ended().map((run) => `${run.action} ${run.result}`),
      ['ban failed', 'unban ok'],
    )
  })

  it('skips an update while the hook is busy with the prefix, and gives FastNetMon’s scripts its own word', async () => {
    const gate = join(folder, 'update-gate')
    const trace = join(folder, 'update-trace')
    const one = hook(script(`echo "$4" >> ${trace}; ${waitsFor(gate)}`))
    const s = scene([one])
    const which = ban('203.0.113.1/32')
    s.run('ban', which)
    s.runner.update(one, which)
    s.runner.update(one, which)
    assert.deepEqual(s.runner.counts(), [{ hook: 'test', action: 'update', result: 'skipped', count: 2 }])
    writeFileSync(gate, '')
    await until('the ban', () => s.ended().length === 1)
    await until('the lane', () => s.runner.running === 0)
    s.runner.update(one, which)
    s.run('unban', which)
    await until('all', () => s.ended().length === 3)
    assert.deepEqual(readFileSync(trace, 'utf8').trim().split('\n'), ['ban', 'attack_details', 'unban'])
  })

  it('gives JSON hooks one document for both actions, and all hooks the environment', async () => {
    const out = join(folder, 'json')
    const s = scene([
      hook(script(`printf '%s ' "$@" $FLOWDAM_ACTION $FLOWDAM_BAN_ID $EXTRA >> ${out}; cat >> ${out}`), {
        format: 'json',
        env: { EXTRA: 'more' },
      }),
    ])
    const one = ban('2001:db8::1/128')
    s.run('ban', one)
    s.run('unban', { ...one, unbannedUnixMs: 5, endedBy: 'me', endReason: 'enough' })
    await until('both', () => s.ended().length === 2)
    const [first = '', second = ''] = readFileSync(out, 'utf8').trim().split('\n')
    assert.ok(first.startsWith(`ban 2001:db8::1/128 ban ${one.id} more {`), first)
    const document = JSON.parse(second.slice(second.indexOf('{'))) as Record<string, unknown>
    assert.deepEqual(
      [
        document['action'],
        document['address'],
        document['family'],
        document['ended_by'],
        document['version'],
      ],
      ['unban', '2001:db8::1', 6, 'me', 1],
    )
  })
})
