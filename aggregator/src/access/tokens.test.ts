// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { quietLog } from '../testing/quiet-log.js'
import { hashToken, parseTokens, TokenFile } from './tokens.js'

const log = quietLog()

const hash = (token: string) => `sha256:${hashToken(token).toString('hex')}`

describe('the token file', () => {
  it('has a token on each line, and room for comments', () => {
    const text = `# who\nnoc operate ${hash('a')}\n\ngrafana read ${hash('b')} until=2027-01-31 # until the audit\n`
    assert.deepEqual(
      parseTokens('f', text).map(({ name, role, untilUnixMs }) => [name, role, untilUnixMs]),
      [
        ['noc', 'operate', Number.POSITIVE_INFINITY],
        ['grafana', 'read', Date.UTC(2027, 0, 31)],
      ],
    )
  })

  for (const [title, line, complaint] of [
    ['a role that is none', `noc root ${hash('a')}`, /f:1: a role is read, operate, admin/],
    ['a token instead of its hash', 'noc admin my-secret-token', /f:1: this is no token/],
    ['a date that is none', `noc admin ${hash('a')} until=soon`, /f:1: until=/],
    ['the same name twice', `noc admin ${hash('a')}\nnoc read ${hash('b')}`, /f:2: 'noc' is there twice/],
    [
      'the same token under two names',
      `noc read ${hash('a')}\nboss admin ${hash('b')}\nspare admin ${hash('a').toUpperCase().replace('SHA', 'sha')}`,
      /f:3: 'spare' has the same hash as 'noc'; each name needs a token of its own/,
    ],
  ] as const) {
    it(`refuses ${title}, without quoting it`, () => {
      assert.throws(
        () => parseTokens('f', line),
        (error: Error) => complaint.test(error.message) && !error.message.includes('secret'),
      )
    })
  }

  it('is read again when it changes; a wrong one leaves the old one in force', () => {
    const folder = mkdtempSync(join(tmpdir(), 'flowdam-tokens-'))
    try {
      const file = join(folder, 'tokens')
      writeFileSync(file, `noc operate ${hash('first')}\n`)
      const tokens = new TokenFile(file, log)
      tokens.start()
      assert.equal(tokens.find('first')?.name, 'noc')
      assert.equal(tokens.find('second'), undefined)
      writeFileSync(file, `noc operate ${hash('second')}\nother read ${hash('third')}\n`)
      tokens.reload()
      assert.equal(tokens.find('first'), undefined)
      assert.equal(tokens.find('second')?.role, 'operate')
      writeFileSync(file, 'nonsense\n')
      tokens.reload()
      assert.equal(tokens.find('third')?.name, 'other')
      chmodSync(file, 0o666)
      assert.throws(() => new TokenFile(file, log).start(), { code: 'FD_TOKENS_INVALID' })
      assert.throws(() => new TokenFile(`${file}.not`, log).start(), { code: 'FD_TOKENS_UNREADABLE' })
      tokens.stop()
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
