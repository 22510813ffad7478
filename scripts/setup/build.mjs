// SPDX-License-Identifier: Apache-2.0
//
// Builds what changed: generated protobuf code, native things (BPF object, traffic generator), TypeScript. Whether
// it changed is told by a digest of the sources' content, kept in build/.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, run } from './run.mjs'

const PARTS = [
  {
    name: 'proto',
    sources: ['proto/flowdam', 'buf.gen.yaml', 'buf.yaml'],
    result: 'proto/src/gen/flowdam/v1/api.ts',
  },
  {
    name: 'native',
    sources: [
      'bpf',
      'scripts/traffic',
      'aggregator/native',
      'scripts/build-native.mjs',
      'scripts/build-bpf.mjs',
    ],
    result: 'build/flowdam.bpf.o',
  },
  {
    name: 'ts',
    sources: ['proto', 'common', 'agent', 'aggregator', 'ctl', 'scripts', 'test', 'tsconfig.base.json'],
    result: 'scripts/dist/lab/main.js',
  },
]

const NOT_SOURCES = new Set(['node_modules', 'dist', 'build'])

export function buildSources(announce) {
  const built = []
  for (const { name, sources, result } of PARTS) {
    const stamp = join(ROOT, 'build', `.${name}.digest`)
    const now = digest(sources)
    if (existsSync(join(ROOT, result)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === now) continue
    announce(`npm run build:${name}`)
    run('npm', ['run', '--silent', `build:${name}`])
    mkdirSync(join(ROOT, 'build'), { recursive: true })
    writeFileSync(stamp, now)
    built.push(name)
  }
  return built.length === 0 ? 'up to date' : `built ${built.join(', ')}`
}

function digest(sources) {
  const hash = createHash('sha256')
  for (const source of sources) addTo(hash, source)
  return hash.digest('hex')
}

function addTo(hash, path) {
  const entries = entriesOf(join(ROOT, path))
  if (entries) {
    for (const name of entries) if (!NOT_SOURCES.has(name)) addTo(hash, join(path, name))
    return
  }
  hash.update(`${path}\0`)
  if (existsSync(join(ROOT, path))) hash.update(readFileSync(join(ROOT, path)))
}

function entriesOf(path) {
  try {
    return readdirSync(path).sort()
  } catch {
    return undefined
  }
}
