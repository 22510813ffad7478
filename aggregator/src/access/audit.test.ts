// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { quietLog } from '../testing/quiet-log.js'
import { type AuditFilter, AuditLog } from './audit.js'

const log = quietLog()

const ALL: AuditFilter = { limit: 1000, before: '', sinceUnixMs: 0, by: '', refused: false }
const event = (by: string, reason = '') => ({
  by,
  peer: '127.0.0.1:1',
  method: 'flowdam.v1.BanService/AddBan',
  request: { prefix: '203.0.113.9/32', who: 'alice', reason },
  status: 'OK',
  error: '',
})

describe('AuditLog', () => {
  let folder: string
  let now = 1_700_000_000_000
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'flowdam-audit-'))
  })
  after(() => rmSync(folder, { recursive: true }))
  const make = (name: string, maxBytes = 1 << 20, keep = 3) =>
    new AuditLog({ file: join(folder, name), maxBytes, keep, log, clock: () => now })

  it('keeps what it was told across restarts, also behind half a line', async () => {
    const first = make('restarts')
    first.start()
    first.record(event('token:noc'))
    first.stop()
    appendFileSync(join(folder, 'restarts'), '{"id":"2023')
    now += 1000
    const second = make('restarts')
    second.start()
    second.record(event('local'))
    const { lines, more } = await second.list(ALL)
    assert.deepEqual(
      lines.map(({ by, who }) => [by, who]),
      [
        ['local', 'alice'],
        ['token:noc', 'alice'],
      ],
    )
    assert.equal(more, false)
    second.stop()
  })

  it('turns over at its size, keeps so many files, and pages through all of them', async () => {
    const audit = make('sizes', 4096, 3)
    audit.start()
    for (let i = 0; i < 100; i++) audit.record(event(`token:t${i}`))
    assert.deepEqual(
      readdirSync(folder)
        .filter((name) => name.startsWith('sizes'))
        .sort(),
      ['sizes', 'sizes.1', 'sizes.2', 'sizes.3'],
    )
    for (const name of ['sizes', 'sizes.1']) assert.ok(readFileSync(join(folder, name)).length <= 4096)
    const seen: string[] = []
    let before = ''
    for (;;) {
      const { lines, more } = await audit.list({ ...ALL, limit: 7, before })
      seen.push(...lines.map(({ by }) => by))
      before = lines.at(-1)?.id ?? ''
      if (!more) break
    }
    assert.ok(seen.length > 30)
    assert.deepEqual(
      seen,
      Array.from(seen, (_, index) => `token:t${99 - index}`),
    )
    audit.stop()
  })

  it('lets no flood of refusals fill the disk, and loses none of their number', async () => {
    const audit = make('flood')
    audit.start()
    for (let i = 0; i < 5000; i++) audit.refusal({ ...event('unknown'), status: 'UNAUTHENTICATED' })
    audit.record(event('token:noc'))
    const { lines } = await audit.list(ALL)
    assert.ok(lines.length < 200)
    const refused = lines.filter(({ status }) => status === 'UNAUTHENTICATED').length
    assert.equal(refused + lines.reduce((sum, { suppressed }) => sum + suppressed, 0), 5000)
    assert.equal((await audit.list({ ...ALL, by: 'token:noc' })).lines.length, 1)
    assert.equal((await audit.list({ ...ALL, refused: true })).lines.length, refused)
    audit.stop()
  })

  it('holds no configuration and no long text', async () => {
    const audit = make('secrets')
    audit.start()
    audit.record({ ...event('token:noc', 'x'.repeat(10_000)), request: { yaml: 'password: hunter2' } })
    audit.record(event('token:noc', 'x'.repeat(10_000)))
    const text = readFileSync(join(folder, 'secrets'), 'utf8')
    assert.ok(!text.includes('hunter2') && text.length < 2000)
    audit.stop()
  })
})
