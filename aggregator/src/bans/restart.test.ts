// SPDX-License-Identifier: Apache-2.0
//
// What a start must cope with, and a disk that stays full: journals of clocks that were ahead, damaged measurements.
import assert from 'node:assert/strict'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { parseAddress, parsePrefix } from '@flowdam/common'
import { apiBan } from '../api/convert.js'
import { NO_RATES, wholeRates } from '../detect/sample.js'
import { hookInput } from '../hooks/document.js'
import { fastnetmonReport } from '../hooks/report.js'
import { detection } from '../testing/ban-scene.js'
import { quietLog } from '../testing/quiet-log.js'
import { Bans } from './bans.js'
import { Journal } from './journal.js'
import { NO_LEVELS } from './levels.js'
import type { BanRules } from './rules.js'

const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'flowdam-restart-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const HOUR = 3_600_000
const RULES: BanRules = {
  networks: [parsePrefix('203.0.113.0/24')],
  exempt: [],
  wide: [],
  maxActive: 5,
  maxPerMinute: 3,
  carpet: 'prefix',
  carpetHosts: 3,
  enabled: true,
  levels: NO_LEVELS,
  durationMs: 10_000,
  maxDurationMs: 0,
  dryRun: false,
  holdOffMs: 60_000,
}

let files = 0
const newFile = () => join(folder, `${++files}.jsonl`)

function start(file: string, now: () => number): Bans {
  const actions = { run: () => {} }
  const journal = new Journal(file, quietLog())
  const bans = new Bans({ rules: RULES, journal, clock: now, log: quietLog(), actions })
  bans.start()
  return bans
}

describe('a journal of a clock that was ahead', () => {
  it('keeps no ban for longer, holds nothing off for longer, and does not stop the detector', () => {
    const file = newFile()
    let now = 100 * HOUR
    const before = start(file, () => now)
    before.detected(detection('203.0.113.9'))
    before.detected(detection('203.0.113.10'))
    before.detected(detection('203.0.113.12'))
    before.remove('203.0.113.10', 'me', '')
    before.stop()
    now = HOUR
    const bans = start(file, () => now)
    assert.equal(bans.active()[0]?.untilUnixMs, now + RULES.durationMs)
    assert.equal(bans.detected(detection('203.0.113.10'))[0]?.outcome, 'held_off')
    // max_per_minute bans were made within the last minute, says the journal, but that minute is a hundred hours ahead.
    assert.equal(bans.detected(detection('203.0.113.11'))[0]?.outcome, 'banned')
    now += RULES.holdOffMs
    bans.tick()
    assert.deepEqual(bans.active(), [])
    assert.equal(bans.detected(detection('203.0.113.10'))[0]?.outcome, 'banned')
    bans.stop()
  })
})

describe('a ban whose measurements a disk damaged', () => {
  it('is carried out and shown all the same', () => {
    const file = newFile()
    const now = () => HOUR
    const before = start(file, now)
    before.detected(detection('203.0.113.9'))
    before.stop()
    const good = readFileSync(file)
    const from = good.indexOf('"rates"')
    const to = good.indexOf('"hostgroup"', from)
    assert.ok(from > 0 && to > from)
    for (let at = from; at < to; at++) {
      const damaged = Buffer.from(good)
      damaged[at] = good[at] === 0x78 ? 0x79 : 0x78
      writeFileSync(file, damaged)
      const bans = start(file, now)
      for (const ban of bans.active()) {
        for (const format of ['json', 'fastnetmon'] as const)
          hookInput(format, 'ban', ban, (of) => fastnetmonReport(of))
        apiBan(ban)
      }
      bans.stop()
    }
  })

  it('has what can be read of them', () => {
    const some = { incoming: { all: { pps: 5, bps: 'x' }, udp: null, flows: 3 }, outgoing: 7 }
    const { incoming, outgoing } = wholeRates(some)
    assert.deepEqual(
      [incoming.all, incoming.udp, incoming.flows],
      [{ pps: 5, bps: 0 }, { pps: 0, bps: 0 }, 3],
    )
    assert.deepEqual(outgoing, NO_RATES.outgoing)
  })

  it('with a time that no calendar has is left out, like every line that cannot be read', () => {
    const file = newFile()
    const before = start(file, () => HOUR)
    before.detected(detection('203.0.113.9'))
    before.stop()
    const text = readFileSync(file, 'utf8')
    writeFileSync(
      file,
      `${text.replace(/"untilUnixMs":\d+/, '"untilUnixMs":9e99')}{"type":"settled","id":"x"}\n`,
    )
    const bans = start(file, () => HOUR)
    assert.deepEqual(bans.active(), [])
    bans.stop()
  })
})

describe('a disk that stays full', () => {
  it('costs no file descriptor each time that the journal is to be written anew', () => {
    const file = newFile()
    let now = HOUR
    const bans = start(file, () => now)
    bans.detected(detection('203.0.113.9'))
    bans.stop()
    // Every byte that goes there meets a full disk.
    symlinkSync('/dev/full', `${file}.new`)
    const later = start(file, () => now)
    const open = () => readdirSync('/proc/self/fd').length
    const first = open()
    for (let i = 0; i < 50; i++) {
      now += 1
      later.tick()
    }
    assert.equal(open(), first)
    rmSync(`${file}.new`)
    later.tick()
    later.detected(detection('203.0.113.10'))
    later.stop()
    const again = start(file, () => now)
    assert.equal(again.activeCount, 2)
    again.stop()
  })
})

describe('a prefix that a person gave back', () => {
  it('is not taken away again by a ban of the network around it; its other attacked addresses are banned', () => {
    const bans = start(newFile(), () => HOUR)
    bans.detected(detection('203.0.113.9'))
    bans.remove('203.0.113.9', 'me', 'the customer called')
    const host = (text: string, rate: number) => ({ address: parseAddress(text), text, rate })
    const hosts = [host('203.0.113.9', 900), host('203.0.113.10', 900), host('203.0.113.11', 900)]
    const outcomes = bans.detected(
      detection('203.0.113.0/24', { scope: 'prefix', hosts, shared: 2700, threshold: 1000 }),
    )
    assert.deepEqual(
      outcomes.map(({ outcome }) => outcome),
      ['banned', 'banned'],
    )
    assert.deepEqual(
      bans.active().map(({ prefix }) => prefix),
      ['203.0.113.10/32', '203.0.113.11/32'],
    )
    assert.ok(bans.heldOffUntil('203.0.113.0/24') > 0)
    bans.stop()
  })

  it('as a whole network leaves its attacked addresses to the detector', () => {
    const bans = start(newFile(), () => HOUR)
    bans.detected(detection('203.0.113.0/24', { scope: 'prefix', shared: 2700 }))
    bans.remove('203.0.113.0/24', 'me', 'not all of them')
    assert.equal(bans.detected(detection('203.0.113.10'))[0]?.outcome, 'banned')
    bans.stop()
  })
})

describe('hooks that are new after a reload', () => {
  it('are told of what is in force, and of what is not withdrawn, and nobody else is', () => {
    const said: string[] = []
    const bans = new Bans({
      rules: RULES,
      journal: new Journal(newFile(), quietLog()),
      log: quietLog(),
      actions: {
        run: (action, { prefix }, decidedAt, hooks) =>
          said.push(`${action} ${prefix} ${hooks} ${decidedAt === undefined ? 'again' : 'now'}`),
      },
    })
    bans.start()
    bans.detected(detection('203.0.113.9'))
    bans.detected(detection('203.0.113.10'))
    bans.remove('203.0.113.10', 'me', '')
    said.length = 0
    bans.reconfigure(RULES)
    assert.deepEqual(said, [])
    assert.equal(bans.notWithdrawn().length, 1)
    bans.reconfigure(RULES, ['bgp'])
    assert.deepEqual(said, ['unban 203.0.113.10/32 bgp again', 'ban 203.0.113.9/32 bgp again'])
    said.length = 0
    bans.reconfigure({ ...RULES, dryRun: true }, ['bgp'])
    assert.deepEqual(said, ['unban 203.0.113.10/32 bgp again'])
    bans.stop()
  })
})

describe('somebody who cannot be told of a ban', () => {
  it('keeps nobody else from hearing of it, and the ban in force', () => {
    const bans = start(newFile(), () => HOUR)
    const heard: string[] = []
    bans.watch(() => {
      throw new Error('not me')
    })
    bans.watch(({ event }) => heard.push(event))
    assert.equal(bans.detected(detection('203.0.113.9'))[0]?.outcome, 'banned')
    bans.remove('203.0.113.9', 'me', '')
    assert.deepEqual(heard, ['ban', 'unban'])
    bans.stop()
  })
})
