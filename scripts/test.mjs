#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// npm test: sets the machine up, then checks and tests everything.
import { RINGS } from './rings/files.mjs'
import { Report } from './rings/run.mjs'
import { checkStatically } from './rings/static.mjs'
import { setupOrExit } from './setup.mjs'

const HELP = `npm test [-- static|unit|scenarios|kernel|services|stream|lab …]

Installs what is missing, then runs
  static    types, lint, format, contracts
${Object.entries(RINGS)
  .map(([name, { what }]) => `  ${name.padEnd(9)} tests: ${what}`)
  .join('\n')}
With names, only those.
`

const ALL = ['static', ...Object.keys(RINGS)]
const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !ALL.includes(name) && name !== '--help')

if (asked.includes('--help')) {
  process.stdout.write(HELP)
} else if (unknown.length > 0) {
  process.stderr.write(`npm test: there is no ${unknown.join(', ')}\n\n${HELP}`)
  process.exitCode = 2
} else {
  const needsServices =
    asked.length === 0 || ['services', 'stream', 'lab'].some((name) => asked.includes(name))
  await setupOrExit({ tests: needsServices })
  const report = new Report()
  for (const part of ALL.filter((name) => asked.length === 0 || asked.includes(name))) {
    if (part === 'static') checkStatically(report)
    else report.ring(part)
  }
  process.exitCode = report.finish() ? 0 : 1
}
