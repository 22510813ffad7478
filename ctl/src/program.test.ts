// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { createServer, type Server, type Socket } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import { Direction } from '@flowdam/proto'
import { status } from '@grpc/grpc-js'
import { flows as cannedFlows, detectedBan, NOW } from './testing/answers.js'
import { FakeAggregator } from './testing/fake-aggregator.js'
import { runCommand, runInProcess, startCommand } from './testing/run-command.js'

describe('flowdam, run as a process against an aggregator', () => {
  let aggregator: FakeAggregator
  let env: NodeJS.ProcessEnv

  before(async () => {
    aggregator = new FakeAggregator()
    await aggregator.start()
    env = { FLOWDAM_SERVER: aggregator.address }
  })
  beforeEach(() => {
    aggregator.failure = undefined
    aggregator.silent = false
    aggregator.asked.length = 0
  })
  after(() => aggregator.stop())

  const succeed = async (...args: string[]) => {
    const { stdout, stderr, status } = await runCommand(args, env)
    assert.deepEqual({ stderr, status }, { stderr: '', status: 0 })
    return stdout
  }

  it('status says in words what is well and what is lost', async () => {
    const stdout = await succeed('status')
    assert.match(stdout, /^Aggregator {2}0\.1\.0 at 127\.0\.0\.1:\d+, up /m)
    assert.match(
      stdout,
      /^Agents {6}2 connected, 1,234 records still to come, the oldest 1m 35s old, spool of edge2 88 % full, 3 batches lost in agents, 2 batches at another aggregator$/m,
    )
    assert.match(stdout, /^Clock {7}was set 1× since the start$/m)
    assert.match(stdout, /^Incoming {4}123 kpps, 1\.23 Gbit\/s, 350 flows\/s$/m)
    assert.match(
      stdout,
      /^Ledger .*1,000 packets seen .*: in flows 900, overflow 60, not IP 30, malformed 10/m,
    )
    assert.match(stdout, /^Lost {8}nothing$/m)
    assert.ok(!stdout.includes('\x1b'), 'no colours in a pipe')
  })

  it('status names every loss with its stage and reason', async () => {
    aggregator.drops = [{ stage: 'spool', reason: 'disk_full', count: 12_345 }]
    const stdout = await succeed('status')
    aggregator.drops = []
    assert.match(stdout, /^Lost {8}spool: disk_full 12,345$/m)
  })

  it('prints one JSON document with plain numbers and words for directions', async () => {
    const status = JSON.parse(await succeed('status', '--json'))
    assert.equal(status.incoming.pps, 123_456)
    assert.equal(status.flows.stored, 12_345_678)
    assert.deepEqual(status.drops, [])
    const { bans } = JSON.parse(await succeed('--json', 'bans'))
    assert.equal(bans[0].direction, 'incoming')
    assert.equal(bans[0].bannedUnixMs, detectedBan.bannedUnixMs)
    assert.equal(bans[0].untilUnixMs, 0)
  })

  it('agents shows what differs from native and external, and who is silent', async () => {
    const stdout = await succeed('agents')
    assert.match(stdout, /^edge1 +connected .* eth0 eth1 \(generic, internal\) /m)
    assert.match(stdout, /^edge2 +silent /m)
    assert.match(
      stdout,
      /^edge2 .* 1,234 +1m 35s +900 MiB \(88 %\) +spool_full 4,000, 3 batches +3 ms \(set 1×\)/m,
    )
  })

  it('top asks for the ranking that was typed', async () => {
    const stdout = await succeed('top', '--by', 'bps', '--direction', 'out', '--limit', '1')
    assert.deepEqual(aggregator.lastAsked('TopHosts'), { by: 'bps', limit: 1, direction: 2 })
    assert.match(stdout, /^ADDRESS +BAN +OUT PACKETS/)
    assert.match(stdout, /^203\.0\.113\.5 +banned +15 kpps +12 Mbit\/s/m)
  })

  it('host and explain take an address in any spelling', async () => {
    await succeed('host', '2001:DB8:0:0::5')
    assert.deepEqual(aggregator.lastAsked('GetHost'), { address: '2001:db8::5' })
    const stdout = await succeed('explain', '203.0.113.6')
    assert.match(stdout, /^Not banned: incoming pps is at 62 % of its threshold/)
    assert.match(stdout, /^incoming +pps +12\.3 kpps +20 kpps +learned +62 % +\[#{12}\.{8}\]$/m)
    assert.match(stdout, /^incoming +bps .* hostgroups\[default\]\.incoming\.bps$/m)
    assert.match(stdout, /^Last ban +ended /m)
    const banned = await succeed('explain', '203.0.113.5')
    assert.match(banned, /^Banned as 203\.0\.113\.5\/32 because the detector saw pps 98321/)
    assert.match(
      banned,
      /^Attack +pulse \(dns_amplification\) on .*, by hostgroups\[default\]\.incoming\.pps$/m,
    )
  })

  it('bans list shows cause and the worst hook', async () => {
    const stdout = await succeed('bans', 'list')
    assert.deepEqual(aggregator.lastAsked('ListBans'), { includeEnded: false, limit: 100, pageToken: '' })
    assert.match(
      stdout,
      /^203\.0\.113\.5\/32 +incoming +pps over 20 kpps +98\.3 kpps, 1\.1 Gbit\/s .* failed /m,
    )
    assert.match(stdout, /^2001:db8::5\/128 +incoming +by hand, bob@noc /m)
  })

  it('bans list --prefixes prints what is to be blackholed, and nothing else', async () => {
    assert.equal(
      await succeed('bans', 'list', '--prefixes'),
      await succeed('bans', 'list', '-p', '--action', 'blackhole'),
    )
    const all = await succeed('bans', 'list', '--prefixes')
    assert.match(all, /^203\.0\.113\.5\/32$/m)
    aggregator.pageOfBans = 1
    assert.equal(await succeed('bans', 'list', '--prefixes'), all, 'page by page')
    aggregator.pageOfBans = Number.POSITIVE_INFINITY
    assert.doesNotMatch(await succeed('bans', 'list', '--prefixes', '--action', 'drop'), /203\.0\.113\.5/)
  })

  it("bans show finds a ban by id or address, and disarms escape sequences in a hook's output", async () => {
    const byId = await succeed('bans', 'show', detectedBan.id)
    assert.equal(await succeed('bans', 'show', '203.0.113.5'), byId)
    assert.match(byId, /^gobgp +ban +1 +2026-11-22 04:47:07 +35 ms +ok$/m)
    assert.match(byId, /^mail +ban .* failed, exit 7$/m)
    assert.match(byId, /^ {2}\?\[31mno mail server\?\[0m$/m)
  })

  it('bans add turns units into what the API wants and says who asked', async () => {
    const stdout = await succeed('bans', 'add', '203.0.113.9', '--duration', '30m', '--reason', 'ticket 1')
    const asked = aggregator.lastAsked('AddBan') as { durationS: number; who: string; reason: string }
    assert.equal(asked.durationS, 1800)
    assert.equal(asked.reason, 'ticket 1')
    assert.match(asked.who, /^alice@/)
    assert.match(stdout, /^banned 203\.0\.113\.9\/32 \(incoming\) for (30m 00s|29m 59s)/)
  })

  it('bans remove names the person behind sudo', async () => {
    const { stdout } = await runCommand(['bans', 'rm', '203.0.113.5'], {
      ...env,
      SUDO_USER: 'carol',
      USER: 'root',
    })
    assert.match((aggregator.lastAsked('RemoveBan') as { who: string }).who, /^carol@/)
    assert.equal(stdout, 'unbanned 203.0.113.5/32, banned for 12m 34s\n')
  })

  it('bans pause and resume, and status says aloud that nothing is banned', async () => {
    await succeed('bans', 'pause', '--reason', 'maintenance', '--who', 'me', '--release')
    assert.deepEqual(aggregator.lastAsked('PauseBans'), { who: 'me', reason: 'maintenance', release: true })
    assert.match(await succeed('status'), /PAUSED by me since .*: maintenance\n.*flowdam bans resume/)
    await succeed('bans', 'resume', '--who', 'me')
    assert.doesNotMatch(await succeed('status'), /bans nothing/)
  })

  it('attacks lists what is under way, and shows what one is made of', async () => {
    const list = await succeed('attacks')
    assert.deepEqual(aggregator.lastAsked('ListAttacks'), { includeEnded: false, limit: 100, pageToken: '' })
    assert.match(list, /203\.0\.113\.5 .*pulse \(dns_amplification\)/)
    const shown = await succeed('attacks', 'show', '20261122T044707.000-9f3a1c')
    assert.match(shown, /Made of +udp 99 %, dns 97 %/)
    assert.match(shown, /4 bursts/)
    assert.match(shown, /198\.51\.100\.0\/24 +2/)
    assert.match(shown, /Missing +detail of 1,000,000 packets \(10 %\)/)
    assert.match(shown, /Spoofed\? +25 % of 900 sources/)
    assert.match(shown, /Sizes +60 to 1500 bytes, mean 1333: ≤ 64 1 %, ≤ 1500 99 %/)
  })

  it('explain says which threshold was learned, and from what', async () => {
    const stdout = await succeed('explain', '203.0.113.6')
    assert.match(stdout, /^incoming +pps +12\.3 kpps +20 kpps +learned +62 %/m)
    assert.match(stdout, /^pps, learned: 5 × 4 k, which is usual around Sunday 04:00 UTC$/m)
  })

  it('baseline lists, shows a week, exports, accepts and forgets', async () => {
    assert.match(
      await succeed('baseline'),
      /^203\.0\.113\.5 .* pps +1\.2 kpps +3 kpps +6 kpps +learned +15 kpps$/m,
    )
    assert.deepEqual(aggregator.lastAsked('ListBaselines'), { hostgroup: '', limit: 100 })
    const shown = await succeed('baseline', '203.0.113.5')
    assert.deepEqual(aggregator.lastAsked('GetBaseline'), { scope: 'host', target: '203.0.113.5' })
    assert.match(shown, /^ {2}Monday +\.44444 444444 444444 444444$/m)
    assert.match(shown, /^ {2}Tuesday +444444 444444 449444 444444$/m)
    await succeed('baseline', 'web')
    assert.deepEqual(aggregator.lastAsked('GetBaseline'), { scope: 'hostgroup', target: 'web' })
    assert.equal(await succeed('baseline', 'export', '--hosts', '7'), 'networks: []\n')
    assert.deepEqual(aggregator.lastAsked('ExportBaselines'), { hosts: 7 })
    assert.match(await succeed('baseline', 'forget', 'total', '--who', 'me'), /^forgotten/)
    assert.deepEqual(aggregator.lastAsked('ForgetBaseline'), { scope: 'total', target: 'total', who: 'me' })
    const accepted = await succeed('baseline', 'accept', '203.0.113.5', '--who', 'me', '--times', '5')
    assert.match(
      accepted,
      /^5 times as much is usual for 203\.0\.113\.5 now\npps: threshold 6 kpps, learned$/m,
    )
    const asked = { scope: 'host', target: '203.0.113.5', who: 'me', times: 5 }
    assert.deepEqual(aggregator.lastAsked('AcceptBaseline'), asked)
  })

  it('flows sends every filter, protocols by name', async () => {
    const filters = ['--src', '198.51.100.0/24', '--dst', '203.0.113.5', '--proto', 'udp', '--port', '53']
    await succeed('flows', '--since', '1h', ...filters, '--aggregate', '--order', 'bytes', '--limit', '7')
    const { sinceUnixMs, ...asked } = aggregator.lastAsked('QueryFlows') as { sinceUnixMs: number }
    assert.ok(Math.abs(Date.now() - 3_600_000 - sinceUnixMs) < 60_000)
    assert.deepEqual(asked, {
      untilUnixMs: 0,
      host: '',
      src: '198.51.100.0/24',
      dst: '203.0.113.5',
      protocol: 17,
      port: 53,
      agent: '',
      limit: 7,
      aggregate: true,
      orderBy: 'bytes',
      pageToken: '',
    })
  })

  it('flows --where is the same in one word', async () => {
    await succeed('flows', '--where', 'dst=203.0.113.5 and proto=udp', '--port', '53')
    const { dst, protocol, port } = aggregator.lastAsked('QueryFlows') as Record<string, unknown>
    assert.deepEqual([dst, protocol, port], ['203.0.113.5', 17, 53])
    const twice = await runCommand(['flows', '--where', 'dst=203.0.113.5', '--dst', '203.0.113.6'], env)
    assert.match(twice.stderr, /--dst and --where dst=… cannot both be given/)
    assert.equal(twice.status, 2)
  })

  it('flows prints names of protocols, letters of flags, words of marks', async () => {
    const stdout = await succeed('flows')
    assert.match(stdout, /udp +198\.51\.100\.7:53 +203\.0\.113\.5:4444 +1,200 +1\.43 MiB/)
    assert.match(stdout, /tcp +\[2001:db8:ffff::1\]:51000 +\[2001:db8::5\]:443 +1 +60 B +SA /)
    assert.match(stdout, /icmp +198\.51\.100\.9 +203\.0\.113\.6 +1 +60 B +echo fragment /)
    assert.match(stdout, /udp +\(many\) +203\.0\.113\.5 +5,000,000 +2\.79 GiB +overflow /)
    assert.match(stdout, /^4 of 4,567 flows; 5,001,234 packets and 2\.80 GiB in all; 12 ms$/m)
  })

  it('talkers sends every filter, and names what it ranks', async () => {
    const filters = ['--host', '203.0.113.0/24', '--proto', 'tcp', '--port', '443', '--direction', 'in']
    const limits = ['--by', 'packets', '--limit', '3', '--agent', 'edge1', '--raw']
    const ports = await succeed('talkers', '--since', '1d', '--of', 'port', ...filters, ...limits)
    const { sinceUnixMs, ...asked } = aggregator.lastAsked('TopTalkers') as { sinceUnixMs: number }
    assert.ok(Math.abs(Date.now() - 86_400_000 - sinceUnixMs) < 60_000)
    assert.deepEqual(asked, {
      untilUnixMs: 0,
      of: 'port',
      by: 'packets',
      direction: Direction.DIRECTION_INCOMING,
      host: '203.0.113.0/24',
      protocol: 6,
      port: 443,
      agent: 'edge1',
      limit: 3,
      raw: true,
    })
    assert.match(ports, /tcp +443 +2\.86 MiB +50\.0 % +4,000 +20/)
    const hosts = await succeed('talkers')
    assert.match(hosts, /2001:db8::5 +1\.43 MiB +25\.0 % +3,999 +19/)
    assert.match(hosts, /1,234 rows of minutes and flows in 12 ms$/m)
  })

  it('keeps tables within the terminal, dropping what is wanted least', async () => {
    for (const columns of [80, 120]) {
      for (const args of [['agents'], ['top'], ['bans'], ['flows'], ['talkers']]) {
        const { stdout } = await runCommand(args, { ...env, COLUMNS: String(columns) })
        const tooLong = stdout.split('\n').filter((line) => line.length > columns)
        assert.deepEqual(tooLong, [], `${args.join(' ')} at ${columns} columns`)
        assert.match(stdout, /203\.0\.113\.5|edge1/)
      }
    }
  })

  it('an error of the aggregator is status 1, with its own code and words', async () => {
    aggregator.failure = {
      code: status.FAILED_PRECONDITION,
      details: 'FD_BAN_EXEMPT: 203.0.113.1 is exempt; take it from exempt first',
    }
    const finished = await runCommand(['bans', 'add', '203.0.113.1'], env)
    assert.deepEqual(finished, {
      stdout: '',
      stderr: 'flowdam: FD_BAN_EXEMPT: 203.0.113.1 is exempt; take it from exempt first\n',
      status: 1,
    })
    const { stderr } = await runCommand(['bans', 'add', '203.0.113.1', '--json'], env)
    assert.equal(JSON.parse(stderr).error.code, 'FD_BAN_EXEMPT')
  })

  it('UNAVAILABLE said by the aggregator itself is not "cannot connect"', async () => {
    aggregator.failure = { code: status.UNAVAILABLE, details: 'FD_STORE_UNAVAILABLE: the store is starting' }
    assert.equal((await runCommand(['flows'], env)).status, 1)
  })

  it('a call that an older aggregator does not know says so', async () => {
    aggregator.failure = { code: status.UNIMPLEMENTED, details: 'unknown method' }
    const { stderr, status: exit } = await runCommand(['status'], env)
    assert.equal(exit, 1)
    assert.match(stderr, /does not know this call.*\n.*as new as this command/)
  })

  it('what does not exist is status 1', async () => {
    const byId = await runCommand(['bans', 'show', 'nonsense'], env)
    assert.deepEqual([byId.status, byId.stderr], [1, 'flowdam: FD_BAN_UNKNOWN: no ban has the id nonsense\n'])
    const byAddress = await runCommand(['bans', 'show', '203.0.113.77'], env)
    assert.equal(byAddress.status, 1)
    assert.match(byAddress.stderr, /FD_NOT_FOUND: 203\.0\.113\.77 has no ban/)
  })

  it('an aggregator that does not answer is status 1 after --timeout', async () => {
    aggregator.silent = true
    const { stderr, status: exit } = await runCommand(['status', '--timeout', '2s'], env)
    assert.equal(exit, 1)
    assert.match(stderr, /FD_DEADLINE: the aggregator at .* did not answer within 2\.0 s\n.*--timeout/)
  })

  it('bans watch shows the active bans, then changes, and Ctrl-C ends it with status 0', async () => {
    const running = startCommand(['bans', 'watch'], env)
    await running.printed(/active +2001:db8::5\/128/)
    const ban = { ...detectedBan, prefix: '203.0.113.8/32' }
    const watcher = aggregator.watchers.at(-1)
    watcher?.write({ event: 'ban', atUnixMs: NOW, ban })
    watcher?.write({ event: 'hook', atUnixMs: NOW, ban })
    const stdout = await running.printed(/hook +203\.0\.113\.8\/32/)
    assert.match(
      stdout,
      /^2026-11-22 04:49:07 {2}ban {5}203\.0\.113\.8\/32 {2}incoming, pps over 20 kpps: 98\.3 kpps, 1\.1 Gbit\/s/m,
    )
    assert.match(stdout, /hook {4}203\.0\.113\.8\/32 {2}mail ban: failed \(exit 7\) in 2\.0 s$/m)
    running.child.kill('SIGINT')
    assert.deepEqual(await running.finished.then(({ stderr, status }) => ({ stderr, status })), {
      stderr: '',
      status: 0,
    })
  })

  it('bans watch --json prints an object per line, and SIGTERM ends it like Ctrl-C', async () => {
    const running = startCommand(['bans', 'watch', '--json'], env)
    await running.printed(/\n.*\n/)
    running.child.kill('SIGTERM')
    const { stdout, status: exit } = await running.finished
    assert.equal(exit, 0)
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.deepEqual(
      events.map(({ event, ban }) => [event, ban.prefix]),
      [
        ['state', '203.0.113.5/32'],
        ['state', '2001:db8::5/128'],
      ],
    )
  })

  it('flows --follow shows flows as they come, says what is missing, and Ctrl-C ends it', async () => {
    const filters = ['--host', '203.0.113.0/24', '--proto', 'udp', '--port', '53', '--agent', 'edge1']
    const running = startCommand(['flows', '--follow', ...filters], env)
    await running.printed(/(198\.51\.100\.7:53[\s\S]*){2}/)
    running.child.kill('SIGINT')
    const { stdout, stderr, status: exit } = await running.finished
    assert.deepEqual([stderr, exit], ['17 more flows matched; too many to show\n', 0])
    const lines = stdout.trimEnd().split('\n')
    assert.equal(lines.length, 6, 'one header for all of them')
    assert.match(lines[0] ?? '', /^TIME +PROTO +SOURCE +DESTINATION +PACKETS/)
    assert.equal(lines[5], lines[1])
    assert.deepEqual(aggregator.lastAsked('WatchFlows'), {
      ...{ host: '203.0.113.0/24', src: '', dst: '', protocol: 17, port: 53, agent: 'edge1', limit: 0 },
    })
  })

  it('flows --follow --json prints an object per line and ends by itself after --limit', async () => {
    const args = ['flows', '-f', '--json', '--limit', '4']
    const { stdout, stderr, status: exit } = await runCommand(args, env)
    assert.deepEqual([stderr, exit], ['', 0])
    const lines = stdout.trimEnd().split('\n')
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).srcAddr),
      cannedFlows.flows.map(({ srcAddr }) => srcAddr),
    )
    assert.deepEqual(aggregator.lastAsked('WatchFlows'), {
      ...{ host: '', src: '', dst: '', protocol: 0, port: 0, agent: '', limit: 4 },
    })
  })

  it('watch flows is the same, and tells programs what is missing in the stream', async () => {
    const running = startCommand(['watch', 'flows', '--json'], env)
    await running.printed(/\{"missed":17\}\n/)
    running.child.kill('SIGTERM')
    assert.equal((await running.finished).status, 0)
  })

  it('top --watch goes on until it is ended', async () => {
    const running = startCommand(['top', '--watch', '--json', '--interval', '100ms'], env)
    await running.printed(/\n.*\n.*\n/)
    running.child.kill('SIGINT')
    const { stdout, stderr, status: exit } = await running.finished
    assert.deepEqual([stderr, exit], ['', 0])
    for (const line of stdout.trimEnd().split('\n')) assert.equal(JSON.parse(line).hosts.length, 2)
  })

  it('a reader that goes away is no error', async () => {
    const running = startCommand(['top', '--watch', '--interval', '100ms'], env)
    await running.printed(/ADDRESS/)
    running.child.stdout?.destroy()
    const { stderr, status: exit } = await running.finished
    assert.deepEqual([stderr, exit], ['', 0])
  })
})

describe('flowdam without an aggregator', () => {
  let silent: Server
  const sockets: Socket[] = []
  let silentAddress = ''
  let closedAddress = ''

  before(async () => {
    // One that takes connections and never says a word, and one that is gone.
    silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
    const gone = createServer().listen(0, '127.0.0.1')
    const portOf = async (server: Server) => {
      if (!server.listening) await new Promise((resolve) => server.once('listening', resolve))
      const address = server.address()
      return typeof address === 'object' && address ? address.port : 0
    }
    silentAddress = `127.0.0.1:${await portOf(silent)}`
    closedAddress = `127.0.0.1:${await portOf(gone)}`
    await new Promise((resolve) => gone.close(resolve))
  })
  after(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  it('nothing listening is status 3 and says what to do', async () => {
    for (const command of ['status', 'agents', 'top', 'flows', 'bans']) {
      const { stdout, stderr, status: exit } = await runCommand([command, '--server', closedAddress])
      assert.deepEqual([stdout, exit], ['', 3])
      assert.equal(
        stderr,
        `flowdam: FD_UNREACHABLE: cannot reach the aggregator at ${closedAddress}: connection refused\n` +
          '  Is it running there? Name another with --server HOST:PORT or FLOWDAM_SERVER.\n',
      )
    }
  })

  it('a watch that cannot connect is status 3 too', async () => {
    const { status: exit } = await runCommand(['bans', 'watch', '--server', closedAddress])
    assert.equal(exit, 3)
  })

  it('a host that never finishes the handshake is status 3 after --timeout', async () => {
    for (const command of [['status'], ['bans', 'watch']]) {
      const args = [...command, '--server', silentAddress, '--timeout', '300ms']
      const { stderr, status: exit } = await runCommand(args)
      assert.equal(exit, 3)
      assert.match(stderr, /no connection within 300 ms/)
    }
  })

  it('an aggregator that dies during a watch is status 3', async () => {
    const aggregator = new FakeAggregator()
    await aggregator.start()
    const running = startCommand(['bans', 'watch', '--server', aggregator.address])
    await running.printed(/active/)
    aggregator.stop()
    const { status: exit, stderr } = await running.finished
    assert.equal(exit, 3)
    assert.match(stderr, /FD_UNREACHABLE/)
  })

  it('what was typed wrong is status 2, before any connection', async () => {
    const wrong: [string[], RegExp][] = [
      [['frob'], /unknown command 'frob'/],
      [['stauts'], /Did you mean status/],
      [['status', '--nonsense'], /unknown option '--nonsense'/],
      [['top', '--by', 'fame'], /Allowed choices are pps, bps, flows/],
      [['top', '--limit', '0'], /--limit: '0' is no whole number from 1 to 1000/],
      [['top', '--direction', 'up'], /'up' is no direction; write in or out/],
      [['top', '--interval', '1ms'], /at least 100ms/],
      [['host'], /missing required argument 'address'/],
      [['host', '203.0.113'], /'203\.0\.113' is no address/],
      [['bans', 'add', '203.0.113.5/24'], /did you mean 203\.0\.113\.0\/24/],
      [['bans', 'add', '203.0.113.5', '--duration', '30'], /'30' is not a time; write for instance 250ms/],
      [['bans', 'add', '203.0.113.5', '--duration', '0s'], /at least 1s/],
      [['flows', '--proto', 'tpc'], /'tpc' is no protocol/],
      [['flows', '--since', 'yesterday'], /'yesterday' is no moment/],
      [['flows', '--since', '5m', '--until', '10m'], /--since must be before --until/],
      [
        ['flows', '--follow', '--since', '1m'],
        /'-f, --follow' cannot be used with option '--since <moment>'/,
      ],
      [['watch', 'flows', '--aggregate'], /unknown option '--aggregate'/],
      [['bans', 'ad', '203.0.113.5'], /unknown command 'bans ad'; did you mean 'bans add'\?/],
      [['watch', 'dogs'], /unknown command 'watch dogs'; there are top, bans, attacks, host, flows/],
      [['bans', 'list', 'ad'], /too many arguments for 'list'/],
      [['flows', '--port', '70000'], /--port: '70000' is no whole number/],
      [['status', '--server', 'nonsense'], /'nonsense' is not HOST:PORT/],
      [['status', '--cert', 'a'], /--cert and --key need --ca/],
      [['status', '--ca', '/nonexistent/ca.pem'], /--ca: cannot read \/nonexistent\/ca\.pem/],
      [['completion', 'tcsh'], /Allowed choices are bash, zsh, fish/],
      [[], /Usage: flowdam/],
    ]
    for (const [args, message] of wrong) {
      const { stdout, stderr, status: exit } = await runInProcess(args, { FLOWDAM_SERVER: closedAddress })
      assert.equal(exit, 2, args.join(' '))
      assert.match(stderr, message)
      assert.equal(stdout, '')
    }
  })

  it('wrong usage ends the process with status 2', async () => {
    assert.equal((await runCommand(['frob'])).status, 2)
    assert.equal((await runCommand(['host', '203.0.113'])).status, 2)
  })

  it('help and version are status 0 on stdout', async () => {
    assert.deepEqual(await runCommand(['--version']), { stdout: 'flowdam 0.1.0\n', stderr: '', status: 0 })
    for (const args of [['--help'], ['bans', '--help'], ['bans', 'add', '--help'], ['help', 'flows']]) {
      const { stdout, stderr, status: exit } = await runInProcess(args)
      assert.deepEqual([stderr, exit], ['', 0])
      assert.match(stdout, /^Usage: flowdam/)
    }
  })
})
