#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// Does docs/dependencies.md name every package that we use, and no npm package that we do not?
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ALWAYS, FOR_TESTS } from '../setup/packages.mjs'
import { ROOT } from '../setup/run.mjs'

const read = (path) => readFileSync(join(ROOT, path), 'utf8')
const page = read('docs/dependencies.md')
const named = new Set([...page.matchAll(/`([^`\s]+)`/g)].map(([, name]) => name))

const { workspaces } = JSON.parse(read('package.json'))
const ours = new Set(workspaces.map((folder) => JSON.parse(read(join(folder, 'package.json'))).name))
const fromNpm = ['.', ...workspaces].flatMap((folder) => {
  const { dependencies = {}, devDependencies = {} } = JSON.parse(read(join(folder, 'package.json')))
  return Object.keys({ ...dependencies, ...devDependencies })
})

const used = new Set([...fromNpm, ...ALWAYS, ...FOR_TESTS])
const complaints = [
  ...[...used].filter((name) => !ours.has(name) && !named.has(name)).map((name) => `lacks ${name}`),
  ...firstCells().flatMap((name) => (used.has(name) ? [] : [`has ${name}, which nobody depends on`])),
]
for (const complaint of complaints) process.stderr.write(`docs/dependencies.md ${complaint}\n`)
if (complaints.length > 0) process.exit(1)
process.stdout.write(`docs/dependencies.md has all ${used.size - ours.size} packages\n`)

/** The packages that the tables are about. */
function firstCells() {
  return [...page.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  )
}
