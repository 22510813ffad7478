// SPDX-License-Identifier: Apache-2.0
//
// Which test files belong to which ring.
import { existsSync, readdirSync } from 'node:fs'
import { join, sep } from 'node:path'
import { ROOT } from '../setup/run.mjs'

const WORKSPACES = ['proto', 'common', 'agent', 'aggregator', 'ctl', 'scripts']

/**
 * Nearest to the code first; a ring runs its files one by one when they share the kernel and the two cores. `limitS`
 * ends a file that hangs; it is far beyond what any needs.
 */
export const RINGS = {
  unit: {
    what: 'no root, no network',
    folders: WORKSPACES.map((name) => join(name, 'dist')),
    concurrency: 2,
    limitS: 400,
  },
  scenarios: {
    what: 'generated traffic through detector, bans and attack records',
    folders: [inTest('scenarios')],
    concurrency: 2,
    limitS: 400,
  },
  kernel: {
    what: 'programs in the real kernel',
    folders: ['bpf', 'agent'].map(inTest),
    concurrency: 1,
    limitS: 900,
  },
  // Mostly waiting for daemons, each file in namespaces and folders of its own: two at a time.
  services: {
    what: 'real BGP speakers, databases, clients, packages',
    folders: ['hooks', 'store', 'api', 'deploy'].map(inTest),
    concurrency: 2,
    limitS: 900,
  },
  // The same: they wait for links to be cut and to come back.
  stream: {
    what: 'agent to aggregator, whatever happens to either',
    folders: [inTest('stream')],
    concurrency: 2,
    limitS: 900,
  },
  lab: {
    what: 'real daemons and packets',
    folders: ['lab', 'detect'].map(inTest),
    concurrency: 1,
    limitS: 900,
  },
}

/** Compiled test files whose source still exists: tsc leaves the results of deleted sources behind. */
export function testFiles(ring) {
  return RINGS[ring].folders.flatMap((folder) => walk(folder)).filter(hasSource)
}

function inTest(folder) {
  return join('test', 'dist', folder)
}

function walk(folder) {
  if (!existsSync(join(ROOT, folder))) return []
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .sort((a, b) => a.name.localeCompare(b.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : walk(path)
      return entry.name.endsWith('.test.js') ? [path] : []
    })
}

function hasSource(file) {
  const source = file.replace(/\.js$/, '.ts')
  // scripts and test compile from their own folder, the others from src.
  return [`${sep}src${sep}`, sep].some((place) =>
    existsSync(join(ROOT, source.replace(`${sep}dist${sep}`, place))),
  )
}
