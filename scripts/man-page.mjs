// SPDX-License-Identifier: Apache-2.0
//
// Writes man/flowdam.1 from the command's definitions (after a build). With --check it only says whether the page is up
// to date (exit status 1 if not), which a test does.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { manualPage } from '../ctl/dist/man.js'
import { buildProgram } from '../ctl/dist/program.js'

const PAGE = fileURLToPath(new URL('../man/flowdam.1', import.meta.url))

const nowhere = { write: () => true }
const program = buildProgram({ stdout: nowhere, stderr: nowhere, env: {}, now: () => 0 }, () => {})
const written = manualPage(program)
if (process.argv.includes('--check')) {
  if (readFileSync(PAGE, 'utf8') !== written) {
    process.stderr.write('man/flowdam.1 is not up to date: run node scripts/man-page.mjs\n')
    process.exitCode = 1
  }
} else {
  mkdirSync(fileURLToPath(new URL('../man', import.meta.url)), { recursive: true })
  writeFileSync(PAGE, written)
}
