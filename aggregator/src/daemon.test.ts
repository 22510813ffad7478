// SPDX-License-Identifier: Apache-2.0
//
// The real daemon as a process: deltas in over gRPC, a hook script's argv and stdin out.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import {
  type AddBanResponse,
  BanServiceClient,
  Direction,
  type GetBanResponse,
  type GetHostResponse,
  type GetStatusResponse,
  HostServiceClient,
  type ListBansResponse,
  type RemoveBanResponse,
  StatusServiceClient,
} from '@flowdam/proto'
import { type Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { TestDaemon, until } from './testing/daemon.js'
import { DeltaAgent, delta } from './testing/delta-agent.js'

const run = promisify(execFile)
const MAIN = fileURLToPath(new URL('main.js', import.meta.url))

type Answer<T> = (error: ServiceError | null, response: T) => void

/** A unary call as a promise. */
function answer<T>(ask: (callback: Answer<T>) => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    ask((error, response) => (error ? reject(error) : resolve(response)))
  })
}

/** By default longer than all of this takes. */
const CONFIG = (hook: string, duration = '30m') => `
networks: [203.0.113.0/24, '2001:db8::/32']
exempt: [203.0.113.200]
thresholds: { incoming: { pps: 20k, bps: 1G }, outgoing: { pps: 50k } }
hostgroups:
  - { name: web, prefixes: [203.0.113.0/28], incoming: { pps: 100k } }
ban: { duration: ${duration}, max_active: 10 }
hooks:
  - { name: notify, run: [${hook}], format: fastnetmon, timeout: 20s }
`

/** 100 000 packets a second to one address. */
const FLOOD = (address: string) => [delta(address, 10_000, 600_000)]

// The limit is for a hang only.
describe('flowdam-aggregator', { timeout: 300_000 }, () => {
  const daemon = new TestDaemon()
  let agent: DeltaAgent
  let grpc: string
  let http: string
  const clients: Client[] = []
  const client = <C extends Client>(
    type: new (address: string, channel: ReturnType<typeof credentials.createInsecure>) => C,
  ): C => {
    const made = new type(grpc, credentials.createInsecure())
    clients.push(made)
    return made
  }
  const start = async () => {
    ;({ grpc, http } = await daemon.start())
    agent = new DeltaAgent(grpc)
    await agent.connect()
  }

  before(async () => {
    daemon.configure(CONFIG(daemon.hook))
    await start()
  })
  after(async () => {
    // Not there when before() failed; the daemon is to be ended all the same.
    agent?.close()
    for (const made of clients) made.close()
    await daemon.cleanUp()
  })

  it('bans a flooded address: the hook gets address, direction, pps, action and the report', async () => {
    await agent.flood(100, FLOOD('203.0.113.99'), () => daemon.calls().length > 0)
    const [ban] = daemon.calls()
    assert.deepEqual(ban?.argv, ['203.0.113.99', 'incoming', '100000', 'ban'])
    assert.match(
      ban?.stdin ?? '',
      /^IP: 203\.0\.113\.99\nAttack type: udp_flood\nInitial attack power: 100000 packets per second\n/,
    )
    assert.match(ban?.stdin ?? '', /\nIncoming udp traffic: 48 mbps\n/)
    assert.equal(ban?.env['FLOWDAM_PREFIX'], '203.0.113.99/32')
    assert.equal(ban?.env['FLOWDAM_ACTION'], 'ban')
    assert.equal(ban?.env['FLOWDAM_HOOK'], 'notify')
  })

  it('shows the ban, the host and the hook’s exit status over the API', async () => {
    const bans = client(BanServiceClient)
    const { bans: listed } = await answer<ListBansResponse>((done) =>
      bans.listBans({ includeEnded: false, limit: 0, pageToken: '' }, done),
    )
    assert.equal(listed.length, 1)
    assert.equal(listed[0]?.prefix, '203.0.113.99/32')
    assert.equal(listed[0]?.direction, Direction.DIRECTION_INCOMING)
    assert.equal(listed[0]?.metric, 'pps')
    assert.equal(listed[0]?.threshold, 20_000)
    assert.equal(listed[0]?.value, 100_000)
    const shown = await until('the end of the hook', () => {
      const text = readFileSync(`${daemon.folder}/state/bans.jsonl`, 'utf8')
      return text.includes('"type":"hook"') || undefined
    }).then(() => answer<GetBanResponse>((done) => bans.getBan({ id: listed[0]?.id ?? '' }, done)))
    assert.deepEqual(
      shown.ban?.hooks.map(({ hook, action, result, exitCode, output }) => [
        hook,
        action,
        result,
        exitCode,
        output,
      ]),
      [['notify', 'ban', 'ok', 0, 'said ban\n']],
    )
    const hosts = client(HostServiceClient)
    const host = await answer<GetHostResponse>((done) => hosts.getHost({ address: '203.0.113.99' }, done))
    assert.equal(host.rates?.banned, true)
    assert.match(host.reason, /^Banned as 203\.0\.113\.99\/32 because the detector saw udp_flood: pps/)
    const web = await answer<GetHostResponse>((done) => hosts.getHost({ address: '203.0.113.2' }, done))
    // Inherited: bps from the defaults, pps from its hostgroup.
    assert.deepEqual(web.thresholds.map(({ metric, threshold }) => `${metric} ${threshold}`).sort(), [
      'bps 1000000000',
      'pps 100000',
      'pps 50000',
    ])
    await assert.rejects(
      answer<GetHostResponse>((done) => hosts.getHost({ address: '8.8.8.8' }, done)),
      /FD_HOST_OUTSIDE_NETWORKS/,
    )
  })

  it('counts everything in /metrics and answers /healthz', async () => {
    const metrics = await (await fetch(`http://${http}/metrics`)).text()
    assert.match(metrics, /^flowdam_bans_active\{dry_run="false"\} 1$/m)
    assert.match(metrics, /^flowdam_hook_runs_total\{hook="notify",action="ban",result="ok"\} 1$/m)
    // What has not happened yet is 0, not missing: else its first time would be no increase.
    assert.match(metrics, /^flowdam_hook_runs_total\{hook="notify",action="unban",result="failed"\} 0$/m)
    assert.match(metrics, /^flowdam_bans_at_level\{level="\w*",action="blackhole"\} 1$/m)
    assert.match(metrics, /^flowdam_hook_start_delay_seconds_count 1$/m)
    assert.match(metrics, /^flowdam_agent_connected\{agent="edge1"\} 1$/m)
    const health = await fetch(`http://${http}/healthz`)
    assert.equal(health.status, 200)
  })

  it('obeys the guard rails, whoever asks', async () => {
    const bans = client(BanServiceClient)
    const add = (prefix: string) =>
      answer<AddBanResponse>((done) =>
        bans.addBan({ prefix, direction: 0, durationS: 0, reason: 'test', who: 'me', level: '' }, done),
      )
    await assert.rejects(add('198.51.100.1'), /FAILED_PRECONDITION: FD_BAN_OUTSIDE_NETWORKS/)
    await assert.rejects(add('203.0.113.200'), /FAILED_PRECONDITION: FD_BAN_EXEMPT/)
    await assert.rejects(add('203.0.113.0/24'), /FAILED_PRECONDITION: FD_BAN_EXEMPT/)
    await assert.rejects(add('2001:db8::/47'), /FAILED_PRECONDITION: FD_BAN_TOO_WIDE/)
    await assert.rejects(add('203.0.113.99'), /ALREADY_EXISTS: FD_BAN_EXISTS/)
    await assert.rejects(add('nonsense'), /INVALID_ARGUMENT: FD_PREFIX_INVALID/)
    // An exempt address under attack is not banned either.
    const before = daemon.calls().length
    await agent.flood(100, FLOOD('203.0.113.200'), async () => {
      const metrics = await (await fetch(`http://${http}/metrics`)).text()
      return /^flowdam_bans_refused_total\{reason="exempt"\} ([3-9]|\d\d)/m.test(metrics)
    })
    assert.equal(daemon.calls().length, before)
  })

  it('bans IPv6 with the address right, and under the threshold nothing', async () => {
    const before = daemon.calls().length
    // web's threshold is 100 000: ten times 9 000 in a second stay under it, and would be far over the default.
    for (let i = 0; i < 5; i++) agent.send(100, [delta('203.0.113.2', 9000, 540_000)])
    await agent.flood(100, FLOOD('2001:db8::bad'), () => daemon.calls().length > before)
    const calls = daemon.calls().slice(before)
    assert.deepEqual(
      calls.map(({ argv }) => argv),
      [['2001:db8::bad', 'incoming', '100000', 'ban']],
    )
    assert.match(calls[0]?.stdin ?? '', /^IP: 2001:db8::bad\n/)
  })

  it('survives kill -9: the bans are in force again and announced again', async () => {
    const before = daemon.calls().length
    agent.close()
    assert.equal(await daemon.end('SIGKILL'), null)
    await start()
    await until('both bans announced again', () => daemon.calls().length >= before + 2)
    assert.deepEqual(
      daemon
        .calls()
        .slice(before)
        .map(({ argv }) => [argv[0], argv[3]])
        .sort(),
      [
        ['2001:db8::bad', 'ban'],
        ['203.0.113.99', 'ban'],
      ],
    )
    const bans = client(BanServiceClient)
    const { bans: listed } = await answer<ListBansResponse>((done) =>
      bans.listBans({ includeEnded: false, limit: 0, pageToken: '' }, done),
    )
    assert.deepEqual(listed.map((ban) => ban.prefix).sort(), ['2001:db8::bad/128', '203.0.113.99/32'])
  })

  it('unbans by hand: nothing on stdin, and a watcher sees it', async () => {
    const bans = client(BanServiceClient)
    const before = daemon.calls().length
    const seen: string[] = []
    const watch = bans.watchBans({})
    watch.on('data', ({ event, ban }) => seen.push(`${event} ${ban?.prefix}`))
    watch.on('error', () => {})
    await until('the state', () => seen.length >= 2)
    const { ban } = await answer<RemoveBanResponse>((done) =>
      bans.removeBan({ target: '203.0.113.99', who: 'me', reason: 'enough' }, done),
    )
    assert.equal(ban?.state, 'unbanned')
    await until('the unban hook', () => daemon.calls().length > before)
    const unban = daemon.calls().at(-1)
    assert.deepEqual([unban?.argv[0], unban?.argv[3], unban?.stdin], ['203.0.113.99', 'unban', ''])
    await until('the event', () => seen.includes('hook 203.0.113.99/32'))
    assert.deepEqual(seen.slice(0, 2).sort(), ['state 2001:db8::bad/128', 'state 203.0.113.99/32'])
    assert.ok(seen.includes('unban 203.0.113.99/32'))
    watch.cancel()
  })

  it('reloads on SIGHUP: says what changed, keeps the bans, and keeps the old file when the new one is wrong', async () => {
    writeFileSync(daemon.configFile, 'networks: [nonsense]\n')
    daemon.signal('SIGHUP')
    const refused = await daemon.logged('not reloaded: the configuration in force stays')
    assert.match(String(refused['err']), /aggregator\.yaml:1:12: networks\.0: /)
    daemon.configure(CONFIG(daemon.hook, '2s').replace('pps: 20k', 'pps: 5k'))
    daemon.signal('SIGHUP')
    const done = await daemon.logged('reloaded')
    assert.deepEqual(done['changes'], ['ban.duration: 30m → 2s', 'thresholds.incoming.pps: 20000 → 5000'])
    const before = daemon.calls().length
    // 10 000 packets a second: under the old threshold, over the new one.
    await agent.flood(100, [delta('203.0.113.77', 1000, 60_000)], () => daemon.calls().length > before)
    assert.equal(daemon.calls().at(-1)?.argv[0], '203.0.113.77')
    // With the attack over, the ban ends by itself.
    await until('the unban', () =>
      daemon.calls().some(({ argv }) => argv[0] === '203.0.113.77' && argv[3] === 'unban'),
    )
  })

  it('tells its status and stops cleanly on SIGTERM', async () => {
    const statuses = client(StatusServiceClient)
    const status = await answer<GetStatusResponse>((done) => statuses.getStatus({}, done))
    assert.equal(status.agentsConnected, 1)
    assert.equal(status.bansActive, 1)
    const blackholes = async () => {
      const metrics = await (await fetch(`http://${http}/metrics`)).text()
      return metrics.match(/^flowdam_bans_at_level\{.*action="blackhole"\} (\d+)$/m)?.[1]
    }
    assert.equal(await blackholes(), '1')
    const bans = client(BanServiceClient)
    await answer<RemoveBanResponse>((done) =>
      bans.removeBan({ target: '2001:db8::bad', who: 'me', reason: 'enough' }, done),
    )
    assert.equal(await blackholes(), '0', 'not missing')
    agent.close()
    assert.equal(await daemon.end('SIGTERM'), 0)
  })

  it('--check prints the effective configuration, or every complaint with its line, and exits 2', async () => {
    daemon.configure(CONFIG(daemon.hook))
    const { stdout } = await run(process.execPath, [MAIN, '--config', daemon.configFile, '--check'])
    assert.match(stdout, /^ban:\n {2}enabled: true\n {2}duration: 30m\n/m)
    // What it prints is a configuration again.
    writeFileSync(daemon.configFile, stdout)
    const again = await run(process.execPath, [MAIN, '--config', daemon.configFile, '--check'])
    assert.equal(again.stdout, stdout)
    daemon.configure(
      `networks: [203.0.113.0/24]\nhostgroups:\n  - { name: a, prefixes: [198.51.100.0/24] }\nhooks:\n  - { name: h, run: [/no/such/file] }\n`,
    )
    await assert.rejects(
      run(process.execPath, [MAIN, '--config', daemon.configFile, '--check']),
      (error: { code: number; stderr: string }) => {
        assert.equal(error.code, 2)
        assert.match(
          error.stderr,
          /aggregator\.yaml:6:\d+: hostgroups\.0\.prefixes\.0: 198\.51\.100\.0\/24 is outside/,
        )
        assert.match(error.stderr, /aggregator\.yaml:8:\d+: hooks\.0\.run: \/no\/such\/file does not exist/)
        return true
      },
    )
  })
})
