#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// npm run build:native: everything in C, into build/. The BPF objects by build-bpf.mjs, the rest by gcc.
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { buildBpf } from './build-bpf.mjs'
import { ROOT, run, SetupError, which } from './setup/run.mjs'

const BUILD = join(ROOT, 'build')

/** One a folder: all its .c files together. */
const TOOLS = [
  { name: 'flowdam-traffic', folder: 'scripts/traffic', options: ['-pthread'] },
  { name: 'flowdam-failstop.so', folder: 'aggregator/native', options: ['-shared', '-fPIC'] },
]

function buildTool({ name, folder, options }) {
  const files = existsSync(join(ROOT, folder)) ? readdirSync(join(ROOT, folder)) : []
  const sources = files.filter((file) => file.endsWith('.c')).map((file) => join(ROOT, folder, file))
  if (sources.length === 0) return undefined
  const target = join(BUILD, name)
  const inputs = files.filter((file) => /\.[ch]$/.test(file)).map((file) => join(ROOT, folder, file))
  const newest = Math.max(...inputs.map((file) => statSync(file).mtimeMs))
  if (existsSync(target) && statSync(target).mtimeMs > newest) return `build/${name}: up to date`
  if (!which('gcc'))
    throw new SetupError('gcc is not installed: apt-get install gcc libc6-dev, or run `npm run setup`')
  run('gcc', ['-O2', '-Wall', '-Wextra', '-std=gnu11', ...options, '-o', target, ...sources, '-lm'])
  return `build/${name}: gcc`
}

try {
  mkdirSync(BUILD, { recursive: true })
  const done = [...buildBpf(), ...TOOLS.map(buildTool)]
  for (const line of done) if (line) process.stdout.write(`${line}\n`)
} catch (error) {
  process.stderr.write(`build-native: ${error.message}\n`)
  process.exitCode = 1
}
