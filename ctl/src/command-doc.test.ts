// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { describeCommands } from './completion/describe.js'
import { buildProgram } from './program.js'

const page = readFileSync(new URL('../../docs/command.md', import.meta.url), 'utf8')

describe('docs/command.md', () => {
  const nowhere = { write: () => true }
  const program = buildProgram({ stdout: nowhere, stderr: nowhere, env: {}, now: () => 0 }, () => {})
  const commands = describeCommands(program)

  it('has a heading for every command', () => {
    for (const { path } of commands) {
      const heading = path === '' ? '# The flowdam command' : `## flowdam ${path}`
      assert.ok(
        page.includes(`\n${heading}\n`) || page.startsWith(`${heading}\n`),
        `docs/command.md lacks ${heading}`,
      )
    }
  })

  it('names every option of every command in its section', () => {
    for (const { path, options } of commands) {
      const section = path === '' ? (page.split('\n## ')[0] ?? '') : sectionOf(path)
      const globals = new Set(commands[0]?.options.flatMap(({ flags }) => flags))
      for (const flag of options.flatMap(({ flags }) => flags)) {
        if (!flag.startsWith('--') || (path !== '' && globals.has(flag))) continue
        assert.ok(section.includes(`\`${flag}`), `docs/command.md, flowdam ${path}: lacks ${flag}`)
      }
    }
  })
})

/** A command's text up to the next heading of the same depth. */
function sectionOf(path: string): string {
  const parts = page.split(/\n#{2,3} flowdam /)
  return parts.find((part) => part.startsWith(`${path}\n`)) ?? ''
}
