// SPDX-License-Identifier: Apache-2.0
//
// What can be checked without running anything: types, lint, format, contracts.
import { join } from 'node:path'
import { ROOT } from '../setup/run.mjs'

export function checkStatically(report) {
  const bin = (name) => join(ROOT, 'node_modules', '.bin', name)
  report.command('generated code', bin('buf'), ['generate'])
  report.command('types', bin('tsc'), ['-b'])
  report.command('lint and format', bin('biome'), ['check', '--error-on-warnings', '.'])
  report.command('format of C', process.execPath, ['scripts/format-c.mjs', '--check'])
  report.command('links in the documentation', process.execPath, ['scripts/rings/links.mjs'])
  report.command('list of dependencies', process.execPath, ['scripts/rings/dependencies.mjs'])
  report.command('contracts', bin('buf'), ['lint'])
  report.command('reference of the API', process.execPath, ['scripts/api-reference.mjs', '--check'])
  report.command('list of metrics', process.execPath, ['scripts/metrics-reference.mjs', '--check'])
}
