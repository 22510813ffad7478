#!/usr/bin/env node
import { Report } from './rings/run.mjs'
// SPDX-License-Identifier: Apache-2.0
//
// npm run check: what a change must pass before it is committed, in about a minute and without root.
import { checkStatically } from './rings/static.mjs'

const HELP = `npm run check

Types, lint, format, contracts and unit tests. Needs \`npm ci\` and nothing else; \`npm test\` runs everything.
`

if (process.argv.includes('--help')) {
  process.stdout.write(HELP)
} else {
  // The state machine's model takes a minute in full; npm test has it.
  process.env.FLOWDAM_MODEL_RUNS ??= '150'
  const report = new Report()
  checkStatically(report)
  report.ring('unit')
  process.exitCode = report.finish() ? 0 : 1
}
