#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// Builds the BPF objects below build/: clang makes bitcode of each program file, bpf-linker makes one object of it.
// Where there is neither bpf-linker nor cargo to install it, `bpftool gen object` links clang's own objects instead;
// both results have the same programs and maps (test/bpf/linkers.test.ts).
//
//   node scripts/build-bpf.mjs                    build/flowdam.bpf.o, build/bench.bpf.o
//   node scripts/build-bpf.mjs --linker=bpftool   build/flowdam.bpftool.bpf.o
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { output, ROOT, run, SetupError, which } from './setup/run.mjs'

const BUILD = join(ROOT, 'build')
const BPF = join(ROOT, 'bpf')

const OBJECTS = [
  {
    name: 'flowdam',
    sources: ['settings.bpf.c', 'xdp.bpf.c', 'tc.bpf.c'],
    exports: 'exports.txt',
    linkers: ['bpf-linker', 'bpftool'],
  },
  {
    name: 'bench',
    sources: ['settings.bpf.c', 'bench/bench.bpf.c'],
    exports: 'bench/exports.txt',
    linkers: ['bpf-linker'],
  },
]

// v3 of the instruction set: 32-bit registers and jumps, in every kernel since 5.1 and in both linkers.
const CPU = 'v3'
const CLANG_MAJORS = [22, 21, 20, 19, 18, 17, 16, 15, 14]
/** Debian keeps asm/types.h below the machine's triplet, where clang does not look for the target bpf. */
const TRIPLETS = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }

/** Builds what changed with the wanted linker; returns what it did, one line an object. */
export function buildBpf(wanted) {
  const linker = wanted ?? chooseLinker()
  if (!which(linker)) throw new SetupError(`${linker} is not installed: ${HOW_TO_GET[linker] ?? ''}`)
  const clangs = findClangs()
  mkdirSync(BUILD, { recursive: true })
  return OBJECTS.filter(({ linkers, sources }) => linkers.includes(linker) && exists(sources)).map((object) =>
    buildObject(object, linker, clangs, wanted !== undefined),
  )
}

const HOW_TO_GET = {
  'bpf-linker': 'run `npm run setup`, or see https://crates.io/crates/bpf-linker',
  bpftool: 'apt-get install bpftool (Debian), linux-tools-common (Ubuntu)',
}

function chooseLinker() {
  if (which('bpf-linker')) return 'bpf-linker'
  if (which('cargo')) {
    throw new SetupError(`bpf-linker is not installed, though cargo is: ${HOW_TO_GET['bpf-linker']}`)
  }
  return 'bpftool'
}

/** Clangs that are there, newest first: their bitcode must not be newer than the linker's LLVM, so one may fail. */
function findClangs() {
  const found = [...CLANG_MAJORS.map((major) => `clang-${major}`), 'clang'].filter(which)
  if (found.length === 0) {
    throw new SetupError(
      'no clang here: apt-get install clang-22 (or clang-19, clang), or run `npm run setup`',
    )
  }
  return found
}

function exists(sources) {
  return sources.every((source) => existsSync(join(BPF, source)))
}

function buildObject(object, linker, clangs, named) {
  // The chosen linker's result is the one that gets loaded; a linker asked for by name besides must not replace it.
  const suffix = named && linker !== 'bpf-linker' ? `.${linker}` : ''
  const target = join(BUILD, `${object.name}${suffix}.bpf.o`)
  const stamp = join(BUILD, `.${basename(target)}.digest`)
  const digest = digestOf([linker, output(linker, ['--version']) ?? '', ...clangs])
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) {
    return `build/${basename(target)}: up to date (${linker})`
  }
  rmSync(stamp, { force: true })
  const refusals = []
  for (const clang of clangs) {
    const parts = object.sources.map((source) => compile(clang, source, linker, object.name))
    try {
      link(linker, parts, join(BPF, object.exports), target)
      writeFileSync(stamp, digest)
      return `build/${basename(target)}: ${clang}, ${linker}`
    } catch (error) {
      refusals.push(`${clang}: ${error.message}`)
    } finally {
      for (const part of parts) rmSync(part, { force: true })
    }
  }
  throw new SetupError(
    `${linker} links the output of none of ${clangs.join(', ')} (its LLVM must not be older than clang's):\n${refusals.join('\n')}`,
  )
}

function compile(clang, source, linker, name) {
  const bitcode = linker === 'bpf-linker'
  const part = join(BUILD, `.${name}.${basename(source, '.bpf.c')}.${process.pid}.${bitcode ? 'bc' : 'o'}`)
  const triplet = TRIPLETS[process.arch] ?? `${process.arch}-linux-gnu`
  if (!existsSync('/usr/include/bpf/bpf_helpers.h')) {
    throw new SetupError('bpf/bpf_helpers.h is missing: apt-get install libbpf-dev, or run `npm run setup`')
  }
  const options = ['-g', '-O2', '-Wall', '-Wextra', '-Werror', '-target', 'bpf', `-mcpu=${CPU}`]
  const includes = ['-I', BPF, `-I/usr/include/${triplet}`]
  run(clang, [
    ...options,
    ...includes,
    ...(bitcode ? ['-emit-llvm'] : []),
    '-c',
    join(BPF, source),
    '-o',
    part,
  ])
  return part
}

function link(linker, parts, exports, target) {
  if (linker === 'bpftool') return run('bpftool', ['gen', 'object', target, ...parts])
  // Without --btf the maps are gone. Without the last option memset is a call to a function that does not exist.
  const options = ['--target=bpfel', `--cpu=${CPU}`, '--btf', '-O3', '--disable-expand-memcpy-in-order']
  run('bpf-linker', [...options, '--export-symbols', exports, '-o', target, ...parts])
}

function digestOf(words) {
  const hash = createHash('sha256')
  for (const word of words) hash.update(`${word}\0`)
  hash.update(readFileSync(fileURLToPath(import.meta.url)))
  for (const folder of [BPF, join(BPF, 'bench')]) {
    if (!existsSync(folder)) continue
    for (const name of readdirSync(folder).sort()) {
      if (/\.(h|c|txt)$/.test(name)) hash.update(`${name}\0`).update(readFileSync(join(folder, name)))
    }
  }
  return hash.digest('hex')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wanted = process.argv.find((argument) => argument.startsWith('--linker='))?.slice('--linker='.length)
  try {
    for (const line of buildBpf(wanted)) process.stdout.write(`${line}\n`)
  } catch (error) {
    process.stderr.write(`build-bpf: ${error.message}\n`)
    process.exitCode = 1
  }
}
