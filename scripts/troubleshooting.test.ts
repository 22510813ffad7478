// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { ROOT } from './lab/root.js'

const CODE = /\bFD_[A-Z0-9_]+\b/g
/** C constants and the word for all codes. */
const NO_ERRORS = new Set(['FD_CODE'])

function codesIn(text: string): string[] {
  return (text.match(CODE) ?? []).filter((code) => !NO_ERRORS.has(code))
}

function quotedCodes(): Set<string> {
  const codes = new Set<string>()
  for (const workspace of ['common', 'agent', 'aggregator', 'ctl']) {
    const source = join(ROOT, workspace, 'src')
    for (const file of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts') || file.endsWith('.test.ts') || file.includes('testing')) continue
      for (const [, code] of readFileSync(join(source, file), 'utf8').matchAll(
        /['"`](FD_[A-Z0-9_]+)['"`:]/g,
      )) {
        if (code && !NO_ERRORS.has(code)) codes.add(code)
      }
    }
  }
  return codes
}

it('docs/troubleshooting.md has every error code of the source, and no other', () => {
  const documented = new Set(codesIn(readFileSync(join(ROOT, 'docs', 'troubleshooting.md'), 'utf8')))
  const used = quotedCodes()
  assert.ok(used.size > 30, 'the search found too little')
  assert.deepEqual(
    [...used].filter((code) => !documented.has(code)),
    [],
    'not documented',
  )
  assert.deepEqual(
    [...documented].filter((code) => !used.has(code)),
    [],
    'documented, but not in the source',
  )
})
