#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// Formats all C by .clang-format; with --check only names what is not formatted. Without clang-format it says so and
// succeeds: setup installs it, a laptop may not have it.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, which } from './setup/run.mjs'

const FOLDERS = ['bpf', 'scripts', 'aggregator/native']

function sourcesIn(folder) {
  if (!existsSync(join(ROOT, folder))) return []
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return ['node_modules', 'dist'].includes(entry.name) ? [] : sourcesIn(path)
    return /\.[ch]$/.test(entry.name) ? [path] : []
  })
}

function formatted(formatter, file) {
  const { status, stdout, stderr } = spawnSync(formatter, [file], { cwd: ROOT, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${formatter} ${file}: ${stderr}`)
  return stdout
}

const formatter = ['clang-format-22', 'clang-format-19', 'clang-format'].map(which).find(Boolean)
const onlyCheck = process.argv.includes('--check')

if (!formatter) {
  process.stdout.write('no clang-format here (setup installs it): C not looked at\n')
} else {
  for (const file of FOLDERS.flatMap(sourcesIn)) {
    const wanted = formatted(formatter, file)
    if (wanted === readFileSync(join(ROOT, file), 'utf8')) continue
    process.stdout.write(`${file}: ${onlyCheck ? 'not formatted (npm run format)' : 'formatted'}\n`)
    if (onlyCheck) process.exitCode = 1
    else writeFileSync(join(ROOT, file), wanted)
  }
}
