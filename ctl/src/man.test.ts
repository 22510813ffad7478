// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { describeCommands } from './completion/describe.js'
import { manualPage } from './man.js'
import { buildProgram } from './program.js'

describe('man/flowdam.1', () => {
  const nowhere = { write: () => true }
  const program = buildProgram({ stdout: nowhere, stderr: nowhere, env: {}, now: () => 0 }, () => {})
  const page = manualPage(program)

  it('is what the definitions say (else: node scripts/man-page.mjs)', () => {
    assert.equal(readFileSync(new URL('../../man/flowdam.1', import.meta.url), 'utf8'), page)
  })

  it('has every command and every option', () => {
    for (const { path, options } of describeCommands(program)) {
      assert.ok(page.includes(`flowdam ${path}`.trimEnd().replaceAll('-', '\\-')), path)
      for (const { flags } of options) {
        const long = flags.find((flag) => flag.startsWith('--')) ?? ''
        if (long === '--help') continue
        assert.ok(page.includes(long.replaceAll('-', '\\-')), `${path} ${long}`)
      }
    }
  })

  it('begins no line of text with a control character', () => {
    for (const line of page.split('\n')) assert.match(line, /^(\.(\\"|TH|SH|SS|TP|B) ?|[^.'])|^$/, line)
  })
})
