// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Rung } from '../bans/levels.js'
import type { Detection } from '../detect/detection.js'
import { NO_RATES } from '../detect/sample.js'
import { emptyMix } from '../detect/traffic.js'
import { quietLog } from '../testing/quiet-log.js'
import type { AttackEvent } from './attacks.js'
import { Attacks } from './attacks.js'
import { AttackJournal } from './journal.js'

const detection = (target = '203.0.113.9'): Detection => ({
  scope: 'host',
  target,
  prefix: undefined,
  direction: 'incoming',
  hostgroup: '',
  metric: 'pps',
  threshold: 1000,
  value: 5000,
  rates: NO_RATES,
  averages: NO_RATES,
  mix: emptyMix(),
  hosts: [],
  times: 2,
  shared: 0,
  receivedAt: 0,
})

const NOTICE: Rung = { name: 'notice', at: 1, action: 'notify' }
const FILTER: Rung = { name: 'filter', at: 2, action: 'drop' }

const folder = mkdtempSync(join(tmpdir(), 'flowdam-attacks-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let now = 1_000_000
let files = 0

/** A process on `file`; what it tells is in `events`. */
function begin(file: string) {
  const events: AttackEvent[] = []
  const journal = new AttackJournal(file, quietLog())
  const attacks = new Attacks({ measure: () => undefined, journal, log: quietLog(), clock: () => now })
  attacks.watch((event) => events.push(event))
  attacks.start()
  return { attacks, events, journal }
}

const newFile = () => join(folder, `${++files}.jsonl`)

describe('attacks over a restart of the aggregator', () => {
  for (const how of ['stopped', 'killed'] as const) {
    it(`${how}: one that goes on is the same one, without a burst for the time nobody looked`, async () => {
      const file = newFile()
      const first = begin(file)
      const attack = first.attacks.seen(detection())
      first.attacks.banned(attack, 'ban1', NOTICE)
      first.attacks.banned(attack, 'ban1', FILTER)
      first.attacks.banned(attack, 'ban2', NOTICE)
      await turn()
      if (how === 'stopped') first.attacks.stop()
      now += 20_000
      const second = begin(file)
      assert.deepEqual(
        second.attacks.active().map(({ id, bans, level }) => [id, bans, level?.name]),
        [[attack.id, ['ban1', 'ban2'], 'filter']],
      )
      const again = second.attacks.seen(detection())
      assert.deepEqual([again.id, again.bursts, again.endedUnixMs], [attack.id, 1, 0])
      assert.equal(second.attacks.list(true, 10).length, 1)
      assert.deepEqual(second.events, [], 'it did not begin again')
      second.attacks.stop()
    })
  }

  it('one that is not seen again ends when it was seen last, with that as the reason', async () => {
    const file = newFile()
    const first = begin(file)
    const { id } = first.attacks.seen(detection())
    await turn()
    const seenAt = now
    now += 10_000
    const second = begin(file)
    now += 29_000
    second.attacks.tick()
    assert.equal(second.attacks.activeCount, 1)
    now += 2000
    second.attacks.tick()
    const [ended] = second.attacks.list(true, 10)
    assert.deepEqual(
      [ended?.id, ended?.endedUnixMs, ended?.endReason],
      [id, seenAt, 'not seen again after the aggregator started anew'],
    )
    await turn()
    assert.equal(begin(file).attacks.activeCount, 0, 'and is not open for the next process')
  })

  it('one of long ago is over at the start, and told to the store', async () => {
    const file = newFile()
    const first = begin(file)
    first.attacks.seen(detection())
    await turn()
    now += 200_000
    const second = begin(file)
    assert.equal(second.attacks.activeCount, 0)
    assert.deepEqual(
      second.events.map(({ event, attack }) => [event, attack.endReason]),
      [['end', 'the aggregator was down when it ended']],
    )
    const fresh = second.attacks.seen(detection())
    assert.equal(second.attacks.list(true, 10).length, 2)
    assert.equal(fresh.endReason, '')
  })

  it('an ended one is not opened again, and a torn last line costs only itself', async () => {
    const file = newFile()
    const first = begin(file)
    first.attacks.seen(detection('203.0.113.1'))
    await turn()
    now += 31_000
    first.attacks.tick()
    first.attacks.seen(detection('203.0.113.2'))
    await turn()
    appendFileSync(file, '{"type":"put","attack":{"id":"to')
    const second = begin(file)
    assert.deepEqual(
      second.attacks.active().map(({ target }) => target),
      ['203.0.113.2'],
    )
    assert.doesNotMatch(readFileSync(file, 'utf8'), /"to$/, 'rewritten at the start')
  })

  it('a journal that cannot be written stops nothing', async () => {
    const blocked = newFile()
    writeFileSync(blocked, '')
    const { attacks } = begin(join(blocked, 'no-folder', 'attacks.jsonl'))
    attacks.seen(detection())
    await turn()
    assert.equal(attacks.activeCount, 1)
    attacks.stop()
  })
})

describe('very many attacks at once', () => {
  it('take turns to be detected, and that is no pause; of few it would be', () => {
    for (const [count, bursts] of [
      [5000, 1],
      [5, 2],
    ] as const) {
      const { attacks } = begin(newFile())
      const targets = Array.from({ length: count }, (_, i) => `203.0.${i >> 8}.${i & 0xff}`)
      for (const target of targets) attacks.seen(detection(target))
      now += 2000
      for (const target of targets) assert.equal(attacks.seen(detection(target)).bursts, bursts)
      attacks.stop()
    }
  })
})
