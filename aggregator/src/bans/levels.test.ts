// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { appendFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { contains, parsePrefix } from '@flowdam/common'
import fc from 'fast-check'
import { NO_RATES } from '../detect/sample.js'
import { BanScene, detection } from '../testing/ban-scene.js'
import type { Ban, HookAction } from './ban.js'
import {
  type HookNames,
  hooksTold,
  isAbove,
  isDropped,
  isTold,
  type Level,
  levelOf,
  NO_LEVELS,
} from './levels.js'
import type { BanRules } from './rules.js'

// In memory where there is such a place: the model test syncs some ten thousand times.
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'flowdam-levels-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const prefixes = (...texts: string[]) => texts.map(parsePrefix)
const QUIET_MS = 5000
const NOTICE: Level = { name: 'notice', at: 1, action: 'notify', hooks: ['mail'], quietMs: QUIET_MS }
const FILTER: Level = { name: 'filter', at: 2, action: 'drop', hooks: [], quietMs: QUIET_MS }
const BLACKHOLE: Level = { name: 'blackhole', at: 5, action: 'blackhole', hooks: ['bgp', 'mail'], quietMs: 0 }
const ladder = (...levels: Level[]) => ({ default: levels, hostgroups: new Map<string, Level[]>() })

const RULES: BanRules = {
  networks: prefixes('203.0.113.0/24', '2001:db8::/32'),
  exempt: prefixes('203.0.113.1'),
  wide: [],
  maxActive: 2,
  maxPerMinute: 1000,
  carpet: 'prefix',
  carpetHosts: 3,
  enabled: true,
  levels: ladder(NOTICE, FILTER, BLACKHOLE),
  durationMs: 20_000,
  maxDurationMs: 0,
  dryRun: false,
  holdOffMs: 0,
}

let scenes = 0

/** With what each hook was told last. */
class Scene extends BanScene {
  readonly told = { mail: new Set<string>(), bgp: new Set<string>() }
  calls: string[] = []

  constructor(rules: BanRules) {
    super(join(folder, `levels-${++scenes}.jsonl`), rules)
  }

  protected override tell(action: HookAction, ban: Ban, hooks: HookNames, except: HookNames): void {
    for (const name of ['mail', 'bgp'] as const) {
      if (!isTold(hooks, name) || isTold(except, name)) continue
      this.calls.push(`${name} ${action} ${levelOf(ban).name}`)
      if (action === 'ban') this.told[name].add(ban.prefix)
      else this.told[name].delete(ban.prefix)
    }
  }

  override restart(rules?: BanRules): void {
    this.calls = []
    super.restart(rules)
  }

  detect(address: string, times: number) {
    return this.bans.detected(detection(address, { times, value: 1000 * times }))[0]?.outcome
  }

  wait(ms: number): void {
    this.now += ms
    this.bans.tick()
  }

  levels(): string[] {
    return this.bans.active().map((ban) => `${ban.prefix} ${levelOf(ban).name}`)
  }
}

/** `npm run check` does with fewer. */
const MODEL_RUNS = Number(process.env['FLOWDAM_MODEL_RUNS'] ?? 1500)

describe('levels', () => {
  it('are climbed as the attack grows, each with its hooks, never down, and all end together', () => {
    const s = new Scene(RULES)
    assert.equal(s.detect('203.0.113.9', 1.2), 'banned')
    assert.equal(s.detect('203.0.113.9', 2.5), 'climbed')
    const [ban] = s.bans.active()
    assert.ok(ban && isDropped(ban))
    s.restart()
    assert.deepEqual(s.calls, ['mail ban filter'], 'announced again as it is')
    assert.equal(s.detect('203.0.113.9', 6), 'climbed')
    assert.equal(s.detect('203.0.113.9', 1.2), 'extended')
    assert.deepEqual(s.levels(), ['203.0.113.9/32 blackhole'])
    s.wait(20_000)
    assert.deepEqual(s.calls.slice(1), [
      ...['mail ban blackhole', 'bgp ban blackhole'],
      ...['mail unban blackhole', 'bgp unban blackhole'],
    ])
    assert.deepEqual(
      s.bans.list(true, 1)[0]?.steps.map(({ name, value }) => `${name} ${value}`),
      ['notice 1200', 'filter 2500', 'blackhole 6000'],
    )
    s.bans.stop()
  })

  it('are all taken at once by a flood that begins at full size, each hook called once', () => {
    const s = new Scene(RULES)
    s.detect('203.0.113.9', 9)
    assert.deepEqual(s.calls, ['mail ban blackhole', 'bgp ban blackhole'])
    assert.ok(s.bans.active().every(isDropped))
    s.bans.stop()
  })

  it('below a blackhole end after quiet that somebody watched, and at the latest when a blackhole would', () => {
    const s = new Scene(RULES)
    s.detect('203.0.113.9', 2)
    s.wait(4000)
    s.detect('203.0.113.9', 1.1)
    s.wait(4999)
    assert.deepEqual(s.levels(), ['203.0.113.9/32 filter'])
    s.watched = false
    s.wait(1)
    assert.deepEqual(s.levels(), ['203.0.113.9/32 filter'], 'no agent, no quiet')
    s.wait(10_000)
    assert.deepEqual(s.levels(), ['203.0.113.9/32 filter'])
    s.wait(5000)
    assert.deepEqual(s.levels(), [])
    s.bans.stop()
  })

  it('of a wider ban shield an address only when they do as much', () => {
    const s = new Scene({ ...RULES, exempt: [] })
    const wide = { prefix: '203.0.113.0/24', direction: 'incoming' as const, durationMs: 0, hostgroup: '' }
    s.bans.add({ ...wide, who: 'me', reason: '', level: 'filter', rates: NO_RATES })
    assert.equal(s.detect('203.0.113.9', 3), 'extended')
    assert.equal(s.detect('203.0.113.9', 7), 'banned')
    assert.deepEqual(s.levels(), ['203.0.113.0/24 filter', '203.0.113.9/32 blackhole'])
    s.bans.stop()
  })

  it('that ended are taken back at start from every hook that the ban in force since has not told', () => {
    for (const dryRun of [false, true]) {
      const s = new Scene(RULES)
      s.detect('203.0.113.9', 9)
      assert.ok(s.told.bgp.has('203.0.113.9/32'))
      s.lost = true
      s.bans.remove('203.0.113.9', 'me', '')
      s.rules = { ...RULES, dryRun }
      s.bans.reconfigure(s.rules)
      assert.equal(s.detect('203.0.113.9', 1.5), 'banned')
      s.restart()
      assert.deepEqual([...s.told.bgp], [])
      assert.deepEqual([...s.told.mail], dryRun ? [] : ['203.0.113.9/32'])
      assert.ok(s.bans.list(true, 9).every(({ state, settled }) => settled === (state === 'unbanned')))
      s.bans.stop()
    }
  })

  it('that drop count like those that blackhole, each prefix once', () => {
    const s = new Scene({ ...RULES, exempt: [], maxActive: 2 })
    assert.equal(s.detect('203.0.113.9', 3), 'banned')
    assert.equal(s.detect('203.0.113.10', 9), 'banned')
    assert.equal(s.detect('203.0.113.9', 9), 'climbed', 'it is counted already')
    const byHand = { direction: 'incoming' as const, durationMs: 0, hostgroup: '', who: 'me', reason: '' }
    const add = (prefix: string, level: string) => s.bans.add({ ...byHand, prefix, level, rates: NO_RATES })
    for (const level of ['filter', 'blackhole']) {
      assert.throws(() => add('203.0.113.11', level), {
        code: 'FD_BAN_MAX_ACTIVE',
        message: /^2 bans that drop or blackhole are in force and ban.max_active is 2/,
      })
    }
    add('203.0.113.11', 'notice')
    assert.equal(s.bans.brake.state, 'running', 'a person trips nothing')
    assert.equal(s.detect('203.0.113.12', 3), 'banned')
    assert.deepEqual(s.levels().slice(2), ['203.0.113.11/32 notice', '203.0.113.12/32 notice'])
    assert.equal(s.bans.brake.state, 'tripped')
    s.bans.stop()
  })

  it('that notify go on when the circuit breaker has tripped, and a pause stops them too', () => {
    const s = new Scene({ ...RULES, maxActive: 0 })
    assert.equal(s.detect('203.0.113.9', 9), 'banned')
    assert.equal(s.bans.brake.state, 'tripped')
    assert.equal(s.detect('203.0.113.10', 3), 'banned')
    assert.deepEqual(s.levels(), ['203.0.113.9/32 notice', '203.0.113.10/32 notice'])
    s.bans.pause('me', '')
    assert.equal(s.detect('203.0.113.11', 3), 'refused')
    s.bans.stop()
  })

  it('follow the model through anything, and the guard rails hold at every level and step', () => {
    const host = fc.constantFrom(
      ...['203.0.113.1', '203.0.113.2', '203.0.113.3', '203.0.113.4', '2001:db8::1', '192.0.2.1'],
    )
    const times = fc.constantFrom(1.1, 1.5, 2, 3, 5, 20)
    const rules = fc.record({
      networks: fc.constantFrom(RULES.networks, prefixes('203.0.113.0/24')),
      exempt: fc.constantFrom(RULES.exempt, [], prefixes('203.0.113.2')),
      wide: fc.constant([]),
      maxActive: fc.constantFrom(0, 1, 2, 100),
      maxPerMinute: fc.constantFrom(3, 1000, 1000),
      carpet: fc.constant('prefix' as const),
      carpetHosts: fc.constant(3),
      enabled: fc.constantFrom(true, true, true, false),
      levels: fc.constantFrom(
        ...[RULES.levels, RULES.levels, NO_LEVELS, ladder(FILTER, BLACKHOLE), ladder(NOTICE, FILTER)],
        ...[ladder(NOTICE, { ...BLACKHOLE, at: 3 }), ladder()],
      ),
      durationMs: fc.constantFrom(6000, 20_000),
      maxDurationMs: fc.constant(0),
      dryRun: fc.constantFrom(false, false, true),
      holdOffMs: fc.constant(0),
    })
    const event = fc.oneof(
      { weight: 12, arbitrary: fc.record({ do: fc.constant('detect' as const), host, times }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(6000) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('watch' as const), on: fc.boolean() }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), host }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('rules' as const), rules }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('pause' as const), release: fc.boolean() }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('resume' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), rules }) },
      {
        weight: 2,
        // The process dies after the next journal line and before its hook; half a line may follow in the file.
        arbitrary: fc.record({
          do: fc.constant('crash' as const),
          ...{ host, times, torn: fc.constantFrom('', '{"type":"en', '\0\0\0\n') },
        }),
      },
    )
    let steps = 0
    let climbs = 0
    fc.assert(
      fc.property(fc.array(event, { minLength: 50, maxLength: 250 }), (script) => {
        const s = new Scene(RULES)
        const model = new Model(s)
        for (const one of script) {
          steps++
          const before = s.bans.active().reduce((sum, ban) => sum + ban.steps.length, 0)
          if (one.do === 'detect') {
            if (s.detect(one.host, one.times) === 'climbed') climbs++
            model.detect(one.host, one.times)
            if (model.brake === 'paused')
              assert.equal(
                s.bans.active().reduce((n, b) => n + b.steps.length, 0),
                before,
              )
          } else if (one.do === 'wait') {
            s.wait(one.ms)
            model.expire()
          } else if (one.do === 'watch') s.watched = one.on
          else if (one.do === 'remove') {
            if (model.bans.delete(parsePrefix(one.host).text)) s.bans.remove(one.host, 'me', '')
          } else if (one.do === 'pause') {
            s.bans.pause('me', 'test', one.release)
            model.brake = 'paused'
            if (one.release) model.bans.clear()
          } else if (one.do === 'resume') {
            s.bans.resume('me', 'test')
            model.brake = 'running'
          } else if (one.do === 'rules') {
            s.rules = one.rules
            s.bans.reconfigure(one.rules)
            model.forbid()
          } else {
            if (one.do === 'crash') {
              s.lost = true
              s.detect(one.host, one.times)
              model.detect(one.host, one.times)
              s.bans.stop()
              appendFileSync(s.file, one.torn)
            }
            s.restart(one.do === 'restart' ? one.rules : s.rules)
            model.restarted()
          }
          model.compare()
        }
        s.bans.stop()
        rmSync(s.file)
      }),
      { numRuns: MODEL_RUNS, endOnFailure: true },
    )
    // 1500 runs are 100 000 steps and more.
    assert.ok(steps >= (MODEL_RUNS * 100_000) / 1500, `${steps} steps`)
    assert.ok(climbs >= (MODEL_RUNS * 400) / 1500, `${climbs} climbs`)
  })
})

interface ModelBan {
  path: Level[]
  until: number
  lastSeen: number
  dryRun: boolean
}

/** What bans should be, without a journal, hooks or classes. */
class Model {
  readonly bans = new Map<string, ModelBan>()
  brake: 'running' | 'paused' | 'tripped' = 'running'
  #made: number[] = []
  #stops = 0
  readonly #scene: Scene

  constructor(scene: Scene) {
    this.#scene = scene
  }

  #mayBan(text: string): boolean {
    const prefix = parsePrefix(text)
    const { networks, exempt } = this.#scene.rules
    return networks.some((one) => contains(one, prefix)) && !exempt.some((one) => contains(one, prefix))
  }

  #lasts({ path }: ModelBan): number {
    const top = path.at(-1)
    return top?.action === 'blackhole' ? this.#scene.rules.durationMs : (top?.quietMs ?? 0)
  }

  #forbidden(action: string, own: ModelBan | undefined): 'max_active' | 'other' | undefined {
    const { rules, now } = this.#scene
    if (this.brake === 'paused' || (this.brake === 'tripped' && action !== 'notify')) return 'other'
    const stops = [...this.bans.values()].filter(({ path }) => path.at(-1)?.action !== 'notify')
    const isOneMore = action !== 'notify' && !stops.includes(own as ModelBan)
    if (isOneMore && stops.length >= rules.maxActive) return 'max_active'
    return this.#made.filter((at) => at > now - 60_000).length >= rules.maxPerMinute ? 'other' : undefined
  }

  detect(address: string, times: number): void {
    const { rules, now } = this.#scene
    const text = parsePrefix(address).text
    const own = this.bans.get(text)
    const path = this.#climb(text, own, times)
    if (path.length > 0) {
      this.#made.push(now)
      const ban = own ?? { path: [], until: 0, lastSeen: 0, dryRun: rules.dryRun }
      ban.path.push(...path)
      this.bans.set(text, ban)
    }
    const ban = this.bans.get(text)
    if (!ban) return
    ban.lastSeen = now
    ban.until = Math.max(ban.until, now + this.#lasts(ban))
  }

  /** The levels that are taken. */
  #climb(text: string, own: ModelBan | undefined, times: number): Level[] {
    const { rules } = this.#scene
    const above = rules.levels.default.filter((one) => one.at <= times)
    const top = above.at(-1)
    if (!top || !isAbove(top, own?.path.at(-1))) return []
    const open = above.filter((one) => isAbove(one, own?.path.at(-1)))
    if (!rules.enabled || !this.#mayBan(text) || (own && !own.dryRun && rules.dryRun)) return []
    const why = this.#forbidden(top.action, own)
    if (!why) return open
    if (why === 'max_active') this.brake = 'tripped'
    const quiet = open.filter(({ action }) => action === 'notify')
    return quiet.length > 0 && !this.#forbidden('notify', own) ? quiet : []
  }

  expire(): void {
    const { now, watched, rules } = this.#scene
    for (const [text, ban] of this.bans) {
      if (ban.until > now) continue
      const blind = Math.min(now + this.#lasts(ban), ban.lastSeen + rules.durationMs)
      const seen = watched || ban.path.at(-1)?.action === 'blackhole'
      if (seen || blind <= now) this.bans.delete(text)
      else ban.until = blind
    }
  }

  forbid(): void {
    const real = !this.#scene.rules.dryRun
    for (const [text, { dryRun }] of this.bans) {
      if (!this.#mayBan(text) || (dryRun && real)) this.bans.delete(text)
    }
  }

  /** A crash may cost a part of an extension that was not worth a line: no more, and never a level. */
  restarted(): void {
    const { bans, now } = this.#scene
    this.forbid()
    const actual = new Map(bans.active().map((ban) => [ban.prefix, ban]))
    for (const text of actual.keys()) assert.ok(this.bans.has(text), `${text} was not in force`)
    for (const [text, known] of this.bans) {
      const ban = actual.get(text)
      if (!ban) {
        assert.ok(known.until - 1000 <= now, `${text} was forgotten`)
        this.bans.delete(text)
        continue
      }
      const blind = known.until <= now + 1000
      assert.ok(blind || Math.abs(ban.untilUnixMs - known.until) <= 1000, text)
      known.until = ban.untilUnixMs
      known.lastSeen = ban.lastSeenUnixMs
    }
  }

  compare(): void {
    const { bans, rules, told } = this.#scene
    const active = bans.active()
    assert.deepEqual(
      active.map((ban) => [ban.prefix, levelOf(ban).name, isDropped(ban), ban.untilUnixMs, ban.dryRun]),
      [...this.bans].map(([text, { path, until, dryRun }]) => [
        ...[text, path.at(-1)?.name, path.some(({ action }) => action === 'drop'), until, dryRun],
      ]),
    )
    assert.equal(bans.brake.state, this.brake)
    const stops = active.filter((ban) => levelOf(ban).action !== 'notify').length
    // A reload that lowers it ends nothing.
    assert.ok(stops <= Math.max(rules.maxActive, this.#stops), `${stops} drop or blackhole`)
    this.#stops = stops
    for (const ban of active) {
      assert.ok(this.#mayBan(ban.prefix), `${ban.prefix} breaks a guard rail`)
      for (const [index, step] of ban.steps.entries()) assert.ok(isAbove(step, ban.steps[index - 1]))
    }
    for (const hook of ['mail', 'bgp'] as const) {
      const live = active
        .filter((ban) => !ban.dryRun && ['all', hook].some((name) => hooksTold(ban).includes(name)))
        .map(({ prefix }) => prefix)
      for (const prefix of told[hook]) assert.ok(live.includes(prefix), `${hook} was never told of the end`)
      if (!rules.dryRun) assert.deepEqual([...told[hook]].sort(), live.sort(), hook)
    }
  }
}
