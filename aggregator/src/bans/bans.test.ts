// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { contains, parseAddress, parsePrefix } from '@flowdam/common'
import fc from 'fast-check'
import type { Detection } from '../detect/detection.js'
import { NO_RATES } from '../detect/sample.js'
import { BanScene, detection } from '../testing/ban-scene.js'
import { quietLog } from '../testing/quiet-log.js'
import type { Ban, HookAction } from './ban.js'
import { Bans } from './bans.js'
import type { BrakeState } from './brake.js'
import { Journal, parseJournal } from './journal.js'
import { NO_LEVELS } from './levels.js'
import type { DetectionOutcome } from './outcome.js'
import type { BanRules } from './rules.js'

// In memory where there is such a place: the model test syncs some ten thousand times.
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'flowdam-bans-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const prefixes = (...texts: string[]) => texts.map(parsePrefix)

const RULES: BanRules = {
  networks: prefixes('203.0.113.0/24', '198.51.0.0/16', '2001:db8::/32'),
  exempt: prefixes('203.0.113.1', '2001:db8:1::/48'),
  wide: prefixes('198.51.0.0/20'),
  maxActive: 5,
  maxPerMinute: 1000,
  carpet: 'prefix',
  carpetHosts: 3,
  enabled: true,
  levels: NO_LEVELS,
  durationMs: 10_000,
  maxDurationMs: 0,
  dryRun: false,
  holdOffMs: 0,
}

/** `rates` of the addresses of a prefix, from .2 on. */
function carpet(prefix: string, rates: readonly number[]): Detection {
  const net = prefix.slice(0, prefix.indexOf('/')).replace(/0$/, '')
  return detection(prefix, {
    scope: 'prefix',
    hosts: rates.map((rate, index) => {
      const text = `${net}${index + 2}`
      return { address: parseAddress(text), text, rate }
    }),
    shared: rates.reduce((sum, rate) => sum + rate, 0),
  })
}

let scenes = 0

/** With a router that does what hooks tell it. */
class Scene extends BanScene {
  readonly router = new Set<string>()
  readonly actions: string[] = []

  constructor(rules: BanRules) {
    super(join(folder, `bans-${++scenes}.jsonl`), rules)
  }

  protected override tell(action: HookAction, ban: Ban): void {
    this.actions.push(`${action} ${ban.prefix}`)
    if (action === 'ban') this.router.add(ban.prefix)
    else this.router.delete(ban.prefix)
  }

  override restart(rules?: BanRules): void {
    this.actions.length = 0
    super.restart(rules)
  }

  detect(address: string): DetectionOutcome {
    const [outcome, ...others] = this.bans.detected(detection(address))
    assert.ok(outcome && others.length === 0)
    return outcome
  }

  add(prefix: string, durationMs = 0): Ban {
    return this.bans.add({
      prefix,
      direction: 'incoming',
      durationMs,
      who: 'me',
      reason: 'test',
      hostgroup: '',
      rates: NO_RATES,
    })
  }

  prefixes(): string[] {
    return this.bans.active().map((ban) => ban.prefix)
  }
}

/** `npm run check` does with fewer. */
const MODEL_RUNS = Number(process.env['FLOWDAM_MODEL_RUNS'] ?? 1500)

describe('bans', () => {
  it('hold for their duration after the attack was last seen', () => {
    const s = new Scene(RULES)
    assert.equal(s.detect('203.0.113.9').outcome, 'banned')
    s.now += 9000
    assert.equal(s.detect('203.0.113.9').outcome, 'extended')
    s.now += 9999
    s.bans.tick()
    assert.deepEqual(s.prefixes(), ['203.0.113.9/32'])
    s.now += 1
    s.bans.tick()
    assert.deepEqual(s.prefixes(), [])
    assert.deepEqual(s.actions, ['ban 203.0.113.9/32', 'unban 203.0.113.9/32'])
    s.bans.stop()
  })

  it('in dry run are made, shown and ended, but run no hook', () => {
    const s = new Scene({ ...RULES, dryRun: true })
    s.bans.detected(detection('203.0.113.9'))
    assert.equal(s.bans.active()[0]?.dryRun, true)
    s.restart()
    s.now += 20_000
    s.bans.tick()
    assert.equal(s.bans.list(true, 10)[0]?.state, 'unbanned')
    assert.deepEqual(s.actions, [])
    s.bans.stop()
  })

  it('that were announced are withdrawn even when dry run came in between', () => {
    const s = new Scene(RULES)
    s.bans.detected(detection('203.0.113.9'))
    s.bans.reconfigure({ ...RULES, dryRun: true })
    s.now += 20_000
    s.bans.tick()
    assert.equal(s.router.size, 0)
    s.bans.stop()
  })

  it('made in dry run end with it, so that an attack that goes on is banned for real; those before it are announced again', () => {
    for (const how of ['reload', 'restart']) {
      const s = new Scene(RULES)
      s.detect('203.0.113.8')
      s.restart({ ...RULES, dryRun: true })
      s.detect('203.0.113.9')
      // A speaker that was restarted meanwhile.
      s.router.clear()
      if (how === 'reload') s.bans.reconfigure(RULES)
      else s.restart(RULES)
      assert.deepEqual([...s.router], ['203.0.113.8/32'], how)
      assert.equal(s.detect('203.0.113.9').outcome, 'banned', how)
      assert.deepEqual([...s.router], ['203.0.113.8/32', '203.0.113.9/32'], how)
      s.bans.stop()
    }
  })

  it('removed by a person are not made again by the detector until the hold-off ends, across a restart', () => {
    const s = new Scene({ ...RULES, holdOffMs: 60_000 })
    s.bans.detected(detection('203.0.113.9'))
    s.bans.remove('203.0.113.9', 'me', '')
    assert.equal(s.detect('203.0.113.9').outcome, 'held_off')
    s.restart()
    assert.equal(s.detect('203.0.113.9').outcome, 'held_off')
    s.now += 60_000
    assert.equal(s.detect('203.0.113.9').outcome, 'banned')
    s.bans.stop()
  })

  it('end at once when the configuration forbids them', () => {
    const s = new Scene(RULES)
    s.bans.detected(detection('203.0.113.9'))
    s.add('198.51.100.0/24')
    s.bans.reconfigure({ ...RULES, exempt: prefixes('203.0.113.9') })
    assert.deepEqual([...s.router], ['198.51.100.0/24'])
    // The same when the file changed while we were down.
    s.restart({ ...RULES, networks: prefixes('203.0.113.0/24') })
    assert.deepEqual([...s.router], [])
    s.bans.stop()
  })

  it('are not made while a person has paused them, across a restart; those in force go on', () => {
    const s = new Scene(RULES)
    s.bans.detected(detection('203.0.113.9'))
    s.bans.pause('me', 'maintenance')
    s.restart()
    assert.equal(s.bans.brake.state, 'paused')
    assert.equal(s.bans.brake.reason, 'maintenance')
    const refused = s.detect('203.0.113.10')
    assert.ok(refused.outcome === 'refused' && refused.reason === 'paused')
    assert.equal(s.detect('203.0.113.9').outcome, 'extended')
    s.add('203.0.113.11')
    assert.deepEqual(s.prefixes(), ['203.0.113.9/32', '203.0.113.11/32'])
    s.bans.resume('me', 'done')
    s.restart()
    assert.equal(s.detect('203.0.113.10').outcome, 'banned')
    s.bans.stop()
  })

  it('last twice as long each time that the attack outlives them, up to max_duration, and short again after quiet', () => {
    const s = new Scene({ ...RULES, durationMs: 10_000, maxDurationMs: 40_000 })
    const lasts = () => {
      const outcome = s.detect('203.0.113.9')
      assert.ok(outcome.outcome === 'banned')
      const { untilUnixMs, bannedUnixMs } = outcome.ban
      s.now = untilUnixMs
      s.bans.tick()
      assert.deepEqual(s.prefixes(), [])
      s.now += 500
      return untilUnixMs - bannedUnixMs
    }
    assert.deepEqual([lasts(), lasts()], [10_000, 20_000])
    s.restart()
    assert.deepEqual([lasts(), lasts()], [40_000, 40_000])
    s.now += 61_000
    assert.equal(lasts(), 10_000)
    // One that a person ended was no probe.
    s.detect('203.0.113.9')
    s.bans.remove('203.0.113.9', 'me', '')
    assert.equal(lasts(), 10_000)
    s.bans.stop()
  })

  it('paused with release all end', () => {
    const s = new Scene(RULES)
    s.bans.detected(detection('203.0.113.9'))
    s.add('203.0.113.11')
    s.bans.pause('me', '', true)
    assert.deepEqual([...s.router], [])
    s.bans.stop()
  })

  it('stop for good when max_active is reached, until a person looks', () => {
    const s = new Scene({ ...RULES, maxActive: 2 })
    s.bans.detected(detection('203.0.113.9'))
    s.bans.detected(detection('203.0.113.10'))
    const over = s.detect('203.0.113.11')
    assert.ok(over.outcome === 'refused' && over.reason === 'max_active')
    assert.equal(s.bans.brake.state, 'tripped')
    s.now += 20_000
    s.restart()
    assert.deepEqual(s.prefixes(), [])
    const after = s.detect('203.0.113.11')
    assert.ok(after.outcome === 'refused' && after.reason === 'tripped', 'room again, and still tripped')
    s.bans.resume('me', 'looked')
    assert.equal(s.detect('203.0.113.11').outcome, 'banned')
    s.bans.stop()
  })

  it('are made by the detector no faster than max_per_minute, across a restart', () => {
    const s = new Scene({ ...RULES, maxPerMinute: 2, durationMs: 1000 })
    s.bans.detected(detection('203.0.113.9'))
    s.now += 30_000
    s.bans.tick()
    s.bans.detected(detection('203.0.113.10'))
    s.restart()
    const over = s.detect('203.0.113.11')
    assert.ok(over.outcome === 'refused' && over.reason === 'rate_limit')
    assert.equal(s.bans.brake.state, 'running')
    s.now += 30_000
    assert.equal(s.detect('203.0.113.11').outcome, 'banned')
    s.bans.stop()
  })

  it('of a carpet bombing are the prefix, within the guard rails, and last while it does', () => {
    const s = new Scene({ ...RULES, exempt: [] })
    s.bans.detected(carpet('203.0.113.0/24', new Array(100).fill(50)))
    assert.deepEqual(s.prefixes(), ['203.0.113.0/24'])
    const again = s.bans.detected(carpet('203.0.113.0/24', new Array(100).fill(50)))
    assert.deepEqual(
      again.map(({ outcome }) => outcome),
      ['extended'],
    )
    s.bans.stop()
  })

  it('of a carpet bombing are as many addresses as needed, at most carpet_hosts, where the prefix may not be banned', () => {
    // 203.0.113.1 in it is exempt.
    const s = new Scene(RULES)
    s.bans.detected(carpet('203.0.113.0/24', [100, 500, 450, 50]))
    assert.deepEqual(s.prefixes(), ['203.0.113.2/32'], '1100 over 1000: one is enough')
    s.bans.detected(carpet('203.0.113.0/24', new Array(50).fill(50)))
    assert.deepEqual(s.prefixes(), ['203.0.113.2/32', '203.0.113.3/32', '203.0.113.4/32'])
    s.bans.stop()
    const hosts = new Scene({ ...RULES, exempt: [], carpet: 'hosts' })
    hosts.bans.detected(carpet('203.0.113.0/24', new Array(50).fill(50)))
    assert.equal(hosts.prefixes().length, 3)
    hosts.bans.stop()
  })

  it('spare the prefix when one address has most of the traffic', () => {
    const s = new Scene({ ...RULES, exempt: [] })
    s.bans.detected(carpet('203.0.113.0/24', [900, 100, 100]))
    assert.deepEqual(s.prefixes(), ['203.0.113.2/32'])
    s.bans.stop()
  })

  it('are unbanned again at start when the process died between journal and hook', () => {
    const s = new Scene(RULES)
    s.bans.detected(detection('203.0.113.9'))
    s.lost = true
    s.bans.remove('203.0.113.9', 'me', '')
    assert.deepEqual([...s.router], ['203.0.113.9/32'])
    s.restart()
    assert.deepEqual(s.actions, ['unban 203.0.113.9/32'])
    s.restart()
    assert.deepEqual(s.actions, [], 'only once')
    s.bans.stop()
  })

  it('follow the model through anything, and the guard rails hold at every step', () => {
    const host = fc.constantFrom(
      '203.0.113.1',
      ...[
        '203.0.113.2',
        '203.0.113.3',
        '198.51.100.7',
        '198.51.1.1',
        '2001:db8::1',
        '2001:db8:1::1',
        '192.0.2.1',
      ],
    )
    const target = fc.oneof(
      host,
      fc.constantFrom(
        ...['203.0.113.0/24', '203.0.113.128/25', '198.51.0.0/16', '198.51.0.0/20', '198.51.16.0/20'],
        ...['2001:db8::/47', '2001:db8:2::/48', '2001:db8::/32', '0.0.0.0/0', '::/0'],
      ),
    )
    const rules = fc.record({
      networks: fc.constantFrom(
        RULES.networks,
        prefixes('203.0.113.0/24'),
        prefixes('0.0.0.0/0', '2001:db8::/32'),
      ),
      exempt: fc.constantFrom(RULES.exempt, [], prefixes('203.0.113.2')),
      wide: fc.constantFrom(RULES.wide, []),
      maxActive: fc.constantFrom(0, 2, 5, 100),
      maxPerMinute: fc.constantFrom(2, 1000, 1000),
      carpet: fc.constant('prefix' as const),
      carpetHosts: fc.constant(3),
      enabled: fc.constantFrom(true, true, true, false),
      levels: fc.constant(NO_LEVELS),
      durationMs: fc.constantFrom(1000, 10_000, 60_000),
      maxDurationMs: fc.constant(0),
      dryRun: fc.constantFrom(false, false, true),
      holdOffMs: fc.constant(0),
    })
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.record({ do: fc.constant('detect' as const), host }) },
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 8000 }) }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('add' as const),
          target,
          ms: fc.constantFrom(0, 3000, 100_000),
        }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), target }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('rules' as const), rules }) },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constant('pause' as const), release: fc.constantFrom(true, false) }),
      },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('resume' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), rules }) },
      {
        weight: 2,
        // The process dies after the next journal line and before its hook; half a line may follow in the file.
        arbitrary: fc.record({
          do: fc.constant('crash' as const),
          host,
          torn: fc.constantFrom('', '{"type":"en', '\0\0\0\n'),
        }),
      },
    )
    let steps = 0
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 250 }), (script) => {
        const s = new Scene(RULES)
        let model = new Map<string, { until: number; dryRun: boolean }>()
        let brake: BrakeState = 'running'
        let made: number[] = []
        const mayBan = (text: string): boolean => {
          const prefix = parsePrefix(text)
          const v4 = !text.includes(':')
          return (
            s.rules.networks.some((network) => contains(network, prefix)) &&
            !s.rules.exempt.some((exempt) => contains(exempt, prefix) || contains(prefix, exempt)) &&
            (prefix.length >= (v4 ? 120 : 48) || s.rules.wide.some((wide) => wide.text === prefix.text))
          )
        }
        const modelDetect = (address: string) => {
          const { durationMs, enabled, maxActive, maxPerMinute, dryRun } = s.rules
          made = made.filter((at) => at > s.now - 60_000)
          const own = parsePrefix(address)
          const covering = [...model].find(([text]) => contains(parsePrefix(text), own))
          if (covering) covering[1].until = Math.max(covering[1].until, s.now + durationMs)
          else if (enabled && mayBan(address) && brake === 'running') {
            if (model.size >= maxActive) brake = 'tripped'
            else if (made.length < maxPerMinute) {
              model.set(own.text, { until: s.now + durationMs, dryRun })
              made.push(s.now)
            }
          }
        }
        const expire = () => {
          for (const [text, { until }] of model) if (until <= s.now) model.delete(text)
        }
        const forbid = () => {
          for (const [text, { dryRun }] of model) {
            if (!mayBan(text) || (dryRun && !s.rules.dryRun)) model.delete(text)
          }
        }
        for (const event of script) {
          steps++
          if (event.do === 'detect') {
            s.bans.detected(detection(event.host))
            modelDetect(event.host)
          } else if (event.do === 'wait') {
            s.now += event.ms
            s.bans.tick()
            expire()
          } else if (event.do === 'add') {
            const { text } = parsePrefix(event.target)
            const allowed = !model.has(text) && mayBan(event.target) && model.size < s.rules.maxActive
            if (allowed) {
              s.add(event.target, event.ms)
              model.set(text, { until: s.now + (event.ms || s.rules.durationMs), dryRun: s.rules.dryRun })
            } else assert.throws(() => s.add(event.target, event.ms), { name: 'FlowdamError' })
          } else if (event.do === 'remove') {
            if (model.delete(parsePrefix(event.target).text)) s.bans.remove(event.target, 'me', '')
            else assert.throws(() => s.bans.remove(event.target, 'me', ''), { code: 'FD_BAN_UNKNOWN' })
          } else if (event.do === 'pause') {
            s.bans.pause('me', 'test', event.release)
            brake = 'paused'
            if (event.release) model.clear()
          } else if (event.do === 'resume') {
            s.bans.resume('me', 'test')
            brake = 'running'
          } else if (event.do === 'rules') {
            s.rules = event.rules
            s.bans.reconfigure(event.rules)
            forbid()
          } else {
            if (event.do === 'crash') {
              s.lost = true
              s.bans.detected(detection(event.host))
              modelDetect(event.host)
              s.bans.stop()
              appendFileSync(s.file, event.torn)
            }
            const before = model
            s.restart(event.do === 'restart' ? event.rules : s.rules)
            forbid()
            model = new Map(
              s.bans.active().map((ban) => {
                const known = before.get(ban.prefix)
                // A crash may cost a part of an extension that was not worth a line yet.
                assert.ok(
                  known && ban.untilUnixMs <= known.until && ban.untilUnixMs >= known.until - 3000,
                  ban.prefix,
                )
                return [ban.prefix, { until: ban.untilUnixMs, dryRun: ban.dryRun }]
              }),
            )
            for (const [text, { until, dryRun }] of before) {
              if (dryRun && !s.rules.dryRun) assert.ok(!model.has(text), `${text} is dry in earnest`)
              else if (mayBan(text) && until - 3000 > s.now)
                assert.ok(model.has(text), `${text} was forgotten`)
            }
          }
          const active = s.bans.active()
          assert.deepEqual(
            new Map(active.map((ban) => [ban.prefix, { until: ban.untilUnixMs, dryRun: ban.dryRun }])),
            model,
          )
          assert.equal(s.bans.brake.state, brake)
          for (const ban of active) assert.ok(mayBan(ban.prefix), `${ban.prefix} breaks a guard rail`)
          const live = active.filter((ban) => !ban.dryRun).map((ban) => ban.prefix)
          for (const announced of s.router)
            assert.ok(live.includes(announced), `${announced} stays at the router`)
          if (!s.rules.dryRun) assert.deepEqual([...s.router].sort(), live.sort())
        }
        s.bans.stop()
        rmSync(s.file)
      }),
      { numRuns: MODEL_RUNS, endOnFailure: true },
    )
    // 1500 runs are 100 000 steps and more.
    assert.ok(steps >= (MODEL_RUNS * 100_000) / 1500, `${steps} steps`)
  })
})

describe('the ban journal', () => {
  it('reads as far as it is whole: a torn last line is cut, a damaged one in between is skipped and kept', () => {
    const s = new Scene(RULES)
    s.bans.detected(detection('203.0.113.9'))
    s.bans.detected(detection('203.0.113.10'))
    s.bans.stop()
    const text = readFileSync(s.file, 'utf8')
    const [first = '', second = ''] = text.split('\n')
    // Cut at every byte: never an error, never a ban that was not there.
    for (let at = 0; at < text.length; at += 37) {
      writeFileSync(s.file, text)
      truncateSync(s.file, at)
      const journal = new Journal(s.file, quietLog())
      assert.equal(
        journal.open().length,
        at > first.length + second.length + 1 ? 2 : at > first.length ? 1 : 0,
      )
      journal.close()
    }
    writeFileSync(s.file, `${first}\n{"type":"pu\n${second}\n`)
    s.restart()
    assert.deepEqual(s.prefixes(), ['203.0.113.9/32', '203.0.113.10/32'])
    assert.ok(existsSync(`${s.file}.damaged`))
    s.bans.stop()
  })

  it('with any byte changed still starts, and never bans what the guard rails forbid', () => {
    const s = new Scene(RULES)
    s.bans.detected(detection('203.0.113.9'))
    s.add('203.0.113.12')
    s.bans.remove('203.0.113.9', 'me', '')
    s.bans.pause('me', '')
    s.bans.stop()
    const good = readFileSync(s.file)
    const start = (bytes: Buffer, what: string) => {
      writeFileSync(s.file, bytes)
      try {
        s.restart()
      } catch (error) {
        assert.fail(`${what}: ${error instanceof Error ? error.stack : error}`)
      }
      for (const { prefix } of s.bans.active())
        assert.ok(prefix.startsWith('203.0.113.'), `${what}: ${prefix}`)
    }
    for (let at = 0; at < good.length; at += 5) {
      // A digit for a digit, a quote for a letter: what is still JSON, and what is none.
      for (const byte of [good[at] === 0x39 ? 0x31 : 0x39, 0x22]) {
        const damaged = Buffer.from(good)
        damaged[at] = byte
        start(damaged, `${byte} at ${at}, ${good.subarray(Math.max(0, at - 20), at + 20)}`)
      }
    }
    for (const line of [
      'null',
      '7',
      '"put"',
      '[]',
      '{}',
      '{"type":"put"}',
      '{"type":"put","ban":{"id":"x"}}',
      '{"type":"hook"}',
    ]) {
      start(Buffer.concat([good, Buffer.from(`${line}\n`), good]), line)
    }
    s.bans.stop()
  })

  it('stays small', () => {
    const s = new Scene(RULES)
    for (let i = 0; i < 10_000; i++) {
      s.now += 500
      s.bans.detected(detection('203.0.113.9'))
      s.bans.tick()
    }
    const lines = readFileSync(s.file, 'utf8').split('\n').length
    assert.ok(lines < 2500, `${lines} lines`)
    s.restart()
    assert.deepEqual(s.prefixes(), ['203.0.113.9/32'])
    s.bans.stop()
  })

  it('that cannot be written keeps no ban from being made, and is whole again when it can', () => {
    const file = join(folder, 'full.jsonl')
    let full = false
    const actions: string[] = []
    const write = (fd: number, line: Buffer): number => {
      // A disk takes what fits before it says no.
      if (full) return writeSync(fd, line.subarray(0, line.length >> 1))
      return writeSync(fd, line)
    }
    let now = 1_000_000
    const bans = new Bans({
      rules: RULES,
      journal: new Journal(file, quietLog(), write),
      clock: () => now,
      log: quietLog(),
      actions: { run: (action, ban) => actions.push(`${action} ${ban.prefix}`) },
    })
    bans.start()
    bans.detected(detection('203.0.113.9'))
    full = true
    bans.detected(detection('203.0.113.10'))
    assert.deepEqual(actions, ['ban 203.0.113.9/32', 'ban 203.0.113.10/32'])
    assert.equal(parseJournal(readFileSync(file, 'utf8')).entries.length, 1)
    full = false
    now += 1
    bans.tick()
    assert.equal(parseJournal(readFileSync(file, 'utf8')).entries.length, 2)
    bans.stop()
  })
})
