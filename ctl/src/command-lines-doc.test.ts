// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { type DescribedCommand, describeCommands } from './completion/describe.js'
import { buildProgram } from './program.js'

const TOP = new URL('../../', import.meta.url)
const PAGES = ['README.md', ...readdirSync(new URL('docs', TOP)).map((name) => `docs/${name}`)].filter(
  (name) => name.endsWith('.md'),
)

const ALIASES = new Set(['rm'])

describe('command lines in the documentation', () => {
  const nowhere = { write: () => true }
  const commands = describeCommands(
    buildProgram({ stdout: nowhere, stderr: nowhere, env: {}, now: () => 0 }, () => {}),
  )

  it('name commands and options that there are', () => {
    const lines = PAGES.flatMap((page) => commandLines(page).map((line) => ({ page, line })))
    assert.ok(lines.length > 100, `the search found only ${lines.length}`)
    assert.deepEqual(
      lines.flatMap(({ page, line }) =>
        complaints(line, commands).map((text) => `${page}: ${line}: ${text}`),
      ),
      [],
    )
  })
})

/** What follows `flowdam` in code, up to what the shell takes for itself. */
function commandLines(page: string): string[] {
  const code = readFileSync(new URL(page, TOP), 'utf8').matchAll(/^```[a-z]*\n.*?^```|^ {4}.*$|`[^`\n]+`/gms)
  // Pictures name the command, too.
  const texts = [...code].map(([text]) => text.replace(/^.*│.*$/gm, ''))
  return texts.flatMap((text) =>
    [...text.matchAll(/(?:^|[\s`$(])flowdam ((?:[a-z]|--[a-z])[^\n`|)#>]*)/g)].map(([, line]) =>
      (line ?? '').trim(),
    ),
  )
}

function complaints(line: string, commands: readonly DescribedCommand[]): string[] {
  const words = line.replace(/"[^"]*"/g, 'TEXT').split(/\s+/)
  const plain = words.filter((word, index) => !word.startsWith('-') && !words[index - 1]?.startsWith('--'))
  const depth =
    [2, 1].find((words) => commands.some(({ path }) => path === plain.slice(0, words).join(' '))) ?? 0
  const command = commands.find(({ path }) => path === plain.slice(0, depth).join(' '))
  const stray = plain[depth]
  // The default command of a group takes an address or an id.
  const isWord = stray !== undefined && /^[a-z]+$/.test(stray) && !ALIASES.has(stray)
  if (!command || (command.subcommands.length > 0 && isWord)) return [`no such command: ${stray}`]
  const known = new Set([...command.options, ...(commands[0]?.options ?? [])].flatMap(({ flags }) => flags))
  return words
    .filter((word) => /^--?[a-z]/.test(word))
    .filter((word) => !known.has(word.replace(/[=,;:].*$/, '')))
    .map((word) => `no option ${word}`)
}
