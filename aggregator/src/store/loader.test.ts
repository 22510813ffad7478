// SPDX-License-Identifier: Apache-2.0
//
// What the loader does about each kind of failure; the table and the spool only remember.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { FlowdamError } from '@flowdam/common'
import { newFlowCounters } from '../contracts.js'
import { DropCounter } from '../drops.js'
import { SourceRegistry } from '../sources/registry.js'
import type { SealedSegment } from '../spool/segment.js'
import { quietLog } from '../testing/quiet-log.js'
import { PAUSE_MS } from './backoff.js'
import { failureOf, type StoreFailure } from './engine.js'
import { Loader, type SegmentQueue } from './loader.js'
import type { Target } from './target.js'

const ROWS = 10

const segment = (number: number): SealedSegment => ({
  number,
  id: `spool-${number}`,
  key: BigInt(number),
  path: `/nowhere/${number}`,
  rows: ROWS,
  bytes: 64 * ROWS,
  baseUnixMs: 0,
  createdUnixMs: 0,
  minUnixMs: 0,
  maxUnixMs: 0,
  days: [0],
  agents: new Set(['edge1']),
  recovered: false,
})

/** A table in memory that recognises tokens. */
class Table implements Target {
  readonly table = 'flows'
  readonly rows = new Map<bigint, number>()
  readonly tokens = new Set<string>()
  /** Each insert that came: when, and with which token. */
  readonly inserts: { at: number; token: string }[] = []
  counts = 0
  /** What the next inserts meet; 'after' fails when the rows are there. */
  faults: { error: StoreFailure; when: 'before' | 'after' }[] = []

  prepare = async () => undefined
  async insert(one: SealedSegment, _sources: unknown, _day: number, token: string): Promise<void> {
    this.inserts.push({ at: Date.now(), token })
    const fault = this.faults.shift()
    if (fault?.when === 'before') throw fault.error
    if (!this.tokens.has(token)) this.rows.set(one.key, (this.rows.get(one.key) ?? 0) + one.rows)
    this.tokens.add(token)
    if (fault) throw fault.error
  }
  async count(one: SealedSegment): Promise<number> {
    this.counts++
    return this.rows.get(one.key) ?? 0
  }
  async remove(one: SealedSegment): Promise<void> {
    this.rows.delete(one.key)
  }
}

class Queue implements SegmentQueue {
  onSealed: (() => void) | undefined
  readonly waiting: SealedSegment[]
  readonly released: number[] = []
  readonly dead: { number: number; reason: string }[] = []
  refusal: Error | undefined
  constructor(count: number) {
    this.waiting = Array.from({ length: count }, (_, index) => segment(index + 1))
  }
  take = () => this.waiting.shift()
  giveBack = (one: SealedSegment) => void this.waiting.unshift(one)
  release = async (one: SealedSegment) => void this.released.push(one.number)
  deadLetter = async (one: SealedSegment, reason: string) => {
    if (this.refusal) throw this.refusal
    this.dead.push({ number: one.number, reason })
    return `/dead/${one.number}`
  }
}

describe('loader', () => {
  let table: Table
  let queue: Queue
  let drops: DropCounter
  let loader: Loader
  const begin = (segments: number, loaders = 1) => {
    queue = new Queue(segments)
    drops = new DropCounter()
    loader = new Loader({
      clock: () => Date.now(),
      target: table,
      spool: queue,
      sources: new SourceRegistry('/nowhere'),
      drops,
      flows: newFlowCounters(),
      log: quietLog(),
      loaders,
    })
    loader.start()
  }
  /** Lets the time pass in small steps, so that whoever waits comes in its turn. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 50) {
      await turn()
      mock.timers.tick(Math.min(50, left))
      await turn()
    }
  }
  const fails = (code: number | undefined, when: 'before' | 'after' = 'before', times = 1) => {
    for (let i = 0; i < times; i++)
      table.faults.push({ error: failureOf(code, `it says why ${code ?? ''}`), when })
  }
  const allThere = (count: number) =>
    assert.deepEqual(
      [...table.rows.values()],
      Array.from({ length: count }, () => ROWS),
    )

  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'] })
    table = new Table()
  })
  afterEach(async () => {
    await loader.stop()
    mock.timers.reset()
  })

  it('network: tries for ever, with pauses that grow to ten seconds, under the same token', async () => {
    fails(undefined, 'before', 12)
    begin(1)
    await pass(120_000)
    assert.deepEqual(queue.released, [1])
    allThere(1)
    assert.equal(new Set(table.inserts.map(({ token }) => token)).size, 1)
    const [shortest, longest] = PAUSE_MS.retry
    for (let i = 1; i < table.inserts.length; i++) {
      const gap = (table.inserts[i]?.at ?? 0) - (table.inserts[i - 1]?.at ?? 0)
      const full = Math.min(longest, shortest * 2 ** (i - 1))
      assert.ok(gap >= full / 2 && gap <= full + 50, `pause ${i}: ${gap} ms of ${full}`)
    }
    assert.equal(loader.status().retries.retry, 12)
    assert.deepEqual([loader.status().lastError, loader.status().failed], ['', false])
  })

  it('an answer that was lost: counts before it inserts again', async () => {
    fails(undefined, 'after')
    begin(1)
    await pass(1000)
    allThere(1)
    assert.equal(table.inserts.length, 1)
    assert.equal(table.counts, 1)
  })

  for (const [title, code] of [
    ['memory', 241],
    ['a full disk of the database', 243],
    ['what nobody thought of', 9999],
  ] as const) {
    it(`${title}: counts too, for the token alone may be there`, async () => {
      // The token is known, the rows are not: killed, or out of space, between the two.
      table.tokens.add('spool-1.0-x')
      table.tokens.add('spool-1.0')
      fails(code)
      begin(1)
      await pass(20_000)
      allThere(1)
      assert.deepEqual(queue.released, [1])
    })
  }

  it('too many parts: no loader comes again before the pause is over, and then one alone', async () => {
    fails(252, 'before', 3)
    begin(6, 3)
    await pass(400)
    const first = table.inserts.length
    assert.equal(first, 3, 'those that were under way')
    const [rest] = PAUSE_MS.crowded
    await pass(rest)
    assert.equal(queue.released.length, 6)
    const { at } = table.inserts[0] ?? { at: 0 }
    for (const insert of table.inserts.slice(first)) assert.ok(insert.at - at >= rest / 2)
    assert.equal(loader.status().retries.crowded, 3)
    allThere(6)
  })

  it('too many parts, for long: one insert for each pause, from all loaders together', async () => {
    fails(252, 'before', 7)
    begin(6, 3)
    await pass(200_000)
    // 3 under way at first, then 4 refused probes: 1, 2, 4, 8 seconds apart at most.
    const gaps = table.inserts.slice(3, 7).map(({ at }, i) => at - (table.inserts[i + 2]?.at ?? 0))
    for (const [i, gap] of gaps.entries()) {
      const full = 1000 * 2 ** i
      assert.ok(gap >= full / 2 && gap <= full + 100, `${gap} ms of ${full}`)
    }
    allThere(6)
  })

  it('bad data: sets it aside with the reason, counts its records, and goes on', async () => {
    fails(33, 'before', 3)
    begin(2)
    await pass(2000)
    assert.deepEqual(queue.dead, [{ number: 1, reason: 'it says why 33' }])
    assert.equal(drops.get('store', 'dead_letter'), ROWS)
    assert.deepEqual(queue.released, [2])
    assert.equal(loader.status().retries.bad_data, 3)
  })

  it('bad data once or twice: something cut it off on its way, and it is there in the end', async () => {
    fails(33, 'before', 2)
    begin(1)
    await pass(2000)
    assert.deepEqual(queue.dead, [])
    allThere(1)
  })

  it('bad data where too much was set aside already: stops and says so, until somebody has looked', async () => {
    fails(33, 'before', 5)
    begin(1)
    queue.refusal = new FlowdamError('FD_STORE_DEAD_LETTERS', 'no room for another')
    await pass(2000)
    assert.equal(loader.status().failed, true)
    assert.match(loader.status().lastError, /^FD_STORE_DEAD_LETTERS/)
    assert.equal(table.inserts.length, 3)
    assert.deepEqual([queue.dead, queue.released], [[], []])
    await pass(120_000)
    assert.deepEqual(queue.released, [1])
    assert.equal(loader.status().failed, false)
    assert.equal(drops.get('store', 'dead_letter'), 0)
  })

  it('bad data that cannot be set aside: tries again, and is not counted as lost before', async () => {
    fails(33, 'before', 9)
    begin(1)
    queue.refusal = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
    await pass(1500)
    assert.equal(loader.status().failed, false)
    assert.equal(drops.get('store', 'dead_letter'), 0)
    assert.deepEqual(queue.dead, [])
    queue.refusal = undefined
    await pass(20_000)
    assert.equal(queue.dead.length, 1)
  })

  it('schema: says so, waits for somebody to act, and heals by itself', async () => {
    fails(60, 'before', 2)
    begin(1)
    await pass(100)
    assert.deepEqual([loader.status().failed, loader.status().lastError], [true, 'it says why 60'])
    await pass(PAUSE_MS.schema[0] / 2 - 200)
    assert.equal(table.inserts.length, 1)
    await pass(30_000)
    assert.deepEqual([loader.status().failed, loader.status().lastError], [false, ''])
    assert.equal(table.counts, 0, 'refused before it began: nothing to count')
    allThere(1)
  })

  it('an insert that never succeeds whatever is done is set aside after five looks', async () => {
    begin(1)
    table.count = async () => 3
    fails(undefined)
    await pass(200_000)
    assert.match(queue.dead[0]?.reason ?? '', /3 of 10 rows are there after every insert/)
  })
})
